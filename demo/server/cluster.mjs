// The demo as a cluster: three nodes in processes of their own, which share their data in Redis and can be killed.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { runDemo } from './server.mjs'

const script = fileURLToPath(new URL('cluster-node.mjs', import.meta.url))
const names = ['1', '2', '3']
/** The milliseconds after which a node that has died is started again. */
const backAfter = 4_000

const freePort = async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Starts a Redis that writes nothing to disk, and ends with this process. */
const startRedis = async () => {
  const port = await freePort()
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const redis = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  process.on('exit', () => redis.kill())
  const ended = new Promise((_, fail) => {
    redis.on('error', fail)
    redis.on('exit', code => fail(new Error(`it exited with ${code}`)))
  })
  const ready = new Promise(done => {
    createInterface(redis.stdout).on('line', line => line.includes('Ready to accept') && done())
  })
  ended.catch(() => {})
  await Promise.race([ready, ended]).catch(error => {
    throw new Error(
      `redis-server could not be started (${error.message}). Install it (apt install redis-server), or use a running one: REDIS_URL=redis://localhost:6379`,
    )
  })
  return `redis://127.0.0.1:${port}`
}

/** A node in a process of its own. `onEnd` is called when the process ends although nobody has stopped it. */
const createChild = (name, env, onEnd) => {
  let running
  let timer
  let isWanted = false

  const child = {
    name,
    port: undefined,
    async start() {
      isWanted = true
      const started = fork(script, [name], { env })
      running = started
      // Sending to a process that has ended is not an error here.
      started.on('error', () => {})
      started.on('exit', (code, signal) => {
        child.port = undefined
        if (!isWanted) return
        onEnd(name)
        console.log(`Node ${name} has ended (${signal ?? code}). It restarts in ${backAfter / 1_000} s.`)
        timer = setTimeout(() => child.start().catch(error => console.error(error.message)), backAfter)
      })
      const [answer] = await Promise.race([
        once(started, 'message'),
        once(started, 'exit').then(([code]) =>
          Promise.reject(new Error(`Node ${name} exited with ${code}.`)),
        ),
      ])
      child.port = answer.port
    },
    tell(words) {
      if (child.port) running.send(words)
    },
    async ask(words) {
      if (!child.port) return undefined
      running.send(words)
      const [answer] = await Promise.race([once(running, 'message'), once(running, 'exit')])
      return answer
    },
    kill() {
      child.port = undefined
      running.kill('SIGKILL')
    },
    async stop(retryAfter) {
      isWanted = false
      clearTimeout(timer)
      await child.ask({ stop: [retryAfter] })
      child.port = undefined
    },
  }
  return child
}

const startCluster = async () => {
  const env = { ...process.env, REDIS_URL: process.env.REDIS_URL || (await startRedis()) }
  const onEnd = name => {
    for (const child of children) child.tell({ ended: name })
  }
  const children = names.map(name => createChild(name, env, onEnd))
  const start = async () => void (await Promise.all(children.map(child => child.start())))
  const stop = async retryAfter => void (await Promise.all(children.map(child => child.stop(retryAfter))))
  await start()

  const live = () => children.filter(({ port }) => port)
  /** Returns the sum of the nodes' answers. */
  const askAll = async words => {
    const answers = await Promise.all(live().map(child => child.ask(words)))
    return answers.reduce((sum, answer) => sum + (answer?.count ?? 0), 0)
  }
  let latest
  const next = () => {
    const at = children.indexOf(latest)
    return [...children.slice(at + 1), ...children.slice(0, at + 1)].find(({ port }) => port)
  }

  return {
    /** The first connection of a page is its feed. It goes to the next node, and the other connections of the page go to the same one. */
    target(path) {
      if (path === '/feed' || !latest?.port) latest = next()
      return latest?.port && { port: latest.port }
    },
    close: (code, reason) => askAll({ close: [code, reason] }),
    deploy: ids => askAll({ deploy: ids }),
    start,
    stop,
    /** Kills this node, or another one, but never the last. Returns its name. */
    kill(name) {
      const those = live()
      if (those.length < 2) return undefined
      const child = those.find(child => child.name === name) ?? those[0]
      child.kill()
      return child.name
    },
    end: stop,
  }
}

await runDemo(
  startCluster,
  'Three nodes share their sessions in Redis. The button "Kill a node" ends one of them.',
)
