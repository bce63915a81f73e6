// A new worker thread, in which the package can be imported by its name, through the `exports` of its package.json.
import { runInThisContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'

const job = runInThisContext(`(${workerData.job})`)
parentPort.postMessage(await job(() => import('steadysocket'), workerData.argument))
