// Measures each library in a process of its own, as in a page of its own, because the optimizations of the engine for one would affect the others. All
// are measured once in each round, so that other load on the machine affects all of them.
import { fork } from 'node:child_process'

/** In the process of a library: answers each job with the result of `turn`, the function with which `prepare(name)` resolves. */
export const serve = async prepare => {
  const turn = await prepare(process.argv[3])
  process.on('message', async job => {
    try {
      process.send({ value: await turn(job) })
    } catch (error) {
      process.send({ error: error.stack })
    }
  })
  process.send({ value: 'ready' })
}

/** Whether this is the process of a library. */
export const isServing = process.argv[2] === '--turns'

/** Starts the process of a library. If an answer takes too long, `ask()` ends the process and resolves with `undefined`. */
const start = (file, name, execArgv) => {
  const child = fork(file, ['--turns', name], {
    execArgv: ['--expose-gc', ...execArgv],
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  let errorOutput = ''
  child.stderr.on('data', data => {
    errorOutput += data
  })
  const receive = cap =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL')
        finish()
        resolve(undefined)
      }, cap)
      const onMessage = ({ value, error }) => {
        finish()
        if (error) reject(new Error(`${name}: ${error}`))
        else resolve(value)
      }
      const onExit = code => {
        finish()
        reject(new Error(`${name} ended (${code}): ${errorOutput.trim().slice(-800)}`))
      }
      const finish = () => {
        clearTimeout(timer)
        child.off('message', onMessage).off('exit', onExit)
      }
      child.on('message', onMessage).on('exit', onExit)
    })
  return {
    ready: () => receive(30_000),
    ask(job, cap) {
      const answer = receive(cap)
      child.send(job)
      return answer
    },
    stop: () => child.kill('SIGKILL'),
  }
}

/**
 * Runs all jobs for all names, `rounds` times. Returns the answers by name, job and round. If an answer takes more than `cap` milliseconds, it is
 * `undefined`, and the same job and those for which `later()` returns true are not run again for this name.
 */
export const takeTurns = async (
  file,
  { names, jobs, rounds, cap = 60_000, execArgv = [], later = () => false },
) => {
  const answers = Object.fromEntries(names.map(name => [name, jobs.map(() => [])]))
  const tooSlow = []
  const running = new Map()
  const getProcess = async name => {
    if (running.has(name)) return running.get(name)
    const one = start(file, name, execArgv)
    running.set(name, one)
    await one.ready()
    return one
  }
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [i, job] of jobs.entries()) {
        // Each round begins with another library.
        for (let k = 0; k < names.length; k++) {
          const name = names[(k + round) % names.length]
          const isSkipped = tooSlow.some(
            ([other, slow]) => other === name && (slow === job || later(job, slow)),
          )
          const answer = isSkipped ? undefined : await (await getProcess(name)).ask(job, cap)
          if (answer === undefined && !isSkipped) {
            tooSlow.push([name, job])
            running.delete(name)
          }
          answers[name][i].push(answer)
        }
      }
    }
  } finally {
    for (const one of running.values()) one.stop()
  }
  return answers
}
