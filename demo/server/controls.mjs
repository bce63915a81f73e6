// The actions of the buttons, and the ranges of their parameters.
import { say } from './files.mjs'

/** Whether a server may send this code in a close frame: https://datatracker.ietf.org/doc/html/rfc6455#section-7.4 */
const isCloseCode = code =>
  (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || code >= 3000

/** For example `1 connection was` or `2 connections were`. */
const connections = count => (count === 1 ? '1 connection was' : `${count} connections were`)

const notOurs =
  'The service runs elsewhere, so this button cannot control it. Use a button that breaks the connection.'

/** A request that cannot be fulfilled. The message is the response. */
class Refusal extends Error {}

export const createControls = (line, service) => {
  let refusedUntil = 0
  let restarting

  const refuseFor = seconds => {
    refusedUntil = Date.now() + seconds * 1000
  }

  const restart = async seconds => {
    refuseFor(seconds)
    await service.stop(1)
    await new Promise(done => {
      restarting.done = done
      restarting.timer = setTimeout(done, Math.max(0, refusedUntil - Date.now()))
    })
    restarting = undefined
    await service.start()
  }
  let restarted = Promise.resolve()

  /** Each parameter has a minimum, a maximum and a default. */
  const controls = {
    cut: {
      act: () => `${connections(line.cut())} reset.`,
    },
    refuse: {
      seconds: [1, 60, 5],
      act({ seconds }) {
        refuseFor(seconds)
        return `${connections(line.cut())} reset. New ones are refused for ${seconds} s.`
      },
    },
    restart: {
      seconds: [1, 60, 3],
      act({ seconds }) {
        if (!service.stop) throw new Refusal(notOurs)
        if (restarting) return 'The server is restarting already.'
        restarting = {}
        restarted = restart(seconds)
        return `The server is restarting, and will be back in ${seconds} s.`
      },
    },
    freeze: {
      act: () => `${connections(line.freeze())} frozen: no data passes, and neither end is notified.`,
    },
    sleep: {
      act(_, query) {
        const count = line.freeze(query.get('id') ?? '')
        if (!count) throw new Refusal('There is no connection with this id.')
        return `${connections(count)} frozen.`
      },
    },
    away: {
      seconds: [0, 10, 0],
      act({ seconds }, query) {
        const id = query.get('id') ?? ''
        const count = line.cut(id)
        const wasRefused = line.refuse(id, count && seconds)
        if (!count && !wasRefused) throw new Refusal('There is no connection with this id.')
        return `${connections(count)} reset.`
      },
    },
    deploy: {
      async act(_, query) {
        if (!service.deploy) throw new Refusal(notOurs)
        const count = await service.deploy(query.getAll('id'))
        if (!count) throw new Refusal('There is no connection with this id.')
        return `${connections(count)} told that the server is going away.`
      },
    },
    slow: {
      ms: [0, 2000, 400],
      seconds: [1, 60, 8],
      act({ ms, seconds }) {
        line.slow(ms, seconds)
        return `For ${seconds} s all data is delayed by ${ms} ms in each direction.`
      },
    },
    close: {
      code: [1000, 4999, 4000],
      async act({ code }) {
        if (!isCloseCode(code))
          throw new Refusal(
            'A server must not use this close code. Use 1000 to 1014, except 1004 to 1006, or 3000 to 4999.',
          )
        if (!service.close) throw new Refusal(notOurs)
        return `${connections(await service.close(code, 'a button was pressed'))} closed with ${code}.`
      },
    },
    busy: {
      seconds: [1, 60, 4],
      async act({ seconds }) {
        if (!service.close) throw new Refusal(notOurs)
        const count = await service.close(1013, `retry-after=${seconds}`)
        refuseFor(seconds)
        return `${connections(count)} closed with 1013, “retry-after=${seconds}”.`
      },
    },
    kill: {
      node: [1, 99, 1],
      act({ node }) {
        if (!service.kill)
          throw new Refusal('There is only one node. Run npm run start:cluster to kill nodes.')
        const killed = service.kill(String(node))
        if (!killed) throw new Refusal('Only one node is left. Wait until the others have restarted.')
        return `Node ${killed} was killed. It restarts in a few seconds.`
      },
    },
  }

  return {
    /** The control with this name, or `undefined`. */
    find: name => (Object.hasOwn(controls, name) ? controls[name] : undefined),

    async press(response, { act, ...numbers }, query) {
      const values = {}
      for (const [name, [low, high, usual]] of Object.entries(numbers)) {
        const value = query.get(name) ?? String(usual)
        if (!/^\d{1,4}$/.test(value) || value < low || value > high) {
          return say(response, 400, `${name} must be a whole number from ${low} to ${high}.`)
        }
        values[name] = Number(value)
      }
      try {
        say(response, 200, await act(values, query))
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        say(response, 400, error.message)
      }
    },

    /** The number of seconds for which new connections are still refused. */
    get wait() {
      return Math.ceil((refusedUntil - Date.now()) / 1000)
    },

    /** Resolves when no restart is in progress. */
    async stop() {
      refusedUntil = 0
      clearTimeout(restarting?.timer)
      restarting?.done?.()
      await restarted
    },
  }
}
