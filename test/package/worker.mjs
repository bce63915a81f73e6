// A fresh thread, in which the package is found by its own name, through the `exports` of its package.json.
import { runInThisContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'

const job = runInThisContext(`(${workerData.job})`)
parentPort.postMessage(await job(() => import('steadysocket'), workerData.argument))
