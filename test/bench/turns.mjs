// Each contender in a process of its own, as in a page of its own, for what the engine learns of one would be charged to the
// others. They have their turns in rounds: whatever else keeps the machine busy keeps all of them busy alike.
import { fork } from 'node:child_process'

/** In such a process: answers each job with what `turn` makes of it. `prepare` is given the name. */
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

/** Whether this is such a process. */
export const isServing = process.argv[2] === '--turns'

/** Starts one for a contender. `ask` resolves to undefined, and the process has ended, where the answer takes too long. */
const start = (file, name, execArgv) => {
  const child = fork(file, ['--turns', name], {
    execArgv: ['--expose-gc', ...execArgv],
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  let words = ''
  child.stderr.on('data', data => {
    words += data
  })
  const hear = cap =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL')
        finish()
        resolve(undefined)
      }, cap)
      const heard = ({ value, error }) => {
        finish()
        if (error) reject(new Error(`${name}: ${error}`))
        else resolve(value)
      }
      const ended = code => {
        finish()
        reject(new Error(`${name} ended (${code}): ${words.trim().slice(-800)}`))
      }
      const finish = () => {
        clearTimeout(timer)
        child.off('message', heard).off('exit', ended)
      }
      child.on('message', heard).on('exit', ended)
    })
  return {
    ready: () => hear(30_000),
    ask(job, cap) {
      const answer = hear(cap)
      child.send(job)
      return answer
    },
    stop: () => child.kill('SIGKILL'),
  }
}

/**
 * All jobs for all names, `rounds` times over: from name and job to what was answered in each round. An answer that took more
 * than `cap` milliseconds is undefined, and that name is not asked for the same or a `later` job again.
 */
export const takeTurns = async (
  file,
  { names, jobs, rounds, cap = 60_000, execArgv = [], later = () => false },
) => {
  const answers = Object.fromEntries(names.map(name => [name, jobs.map(() => [])]))
  const stuck = []
  const running = new Map()
  const reach = async name => {
    if (running.has(name)) return running.get(name)
    const one = start(file, name, execArgv)
    running.set(name, one)
    await one.ready()
    return one
  }
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [i, job] of jobs.entries()) {
        // Another one begins each time.
        for (let k = 0; k < names.length; k++) {
          const name = names[(k + round) % names.length]
          const given = stuck.some(([other, slow]) => other === name && (slow === job || later(job, slow)))
          const answer = given ? undefined : await (await reach(name)).ask(job, cap)
          if (answer === undefined && !given) {
            stuck.push([name, job])
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
