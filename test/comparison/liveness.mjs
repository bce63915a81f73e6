// Half-open connections, which look healthy, and healthy connections, which must be kept.

import { reconnects } from './outage.mjs'

export const liveness = {
  subject: 'Liveness',
  scenarios: [
    {
      id: 'live-half-open',
      title: 'A half-open connection is detected and replaced within a minute',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/98',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.server.latest.freeze()
        if (!(await reconnects(rig, 60_000))) return 'not detected'
      },
    },
    {
      id: 'live-half-open-sending',
      title: 'A half-open connection is detected and replaced within a minute while messages are sent',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/98',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await rig.steady()
        rig.server.latest.freeze()
        for (let i = 0; i < 60 && rig.server.connections.length < 2; i++) {
          client.send(`${i}`)
          await rig.pass(1_000)
        }
        if (rig.server.connections.length < 2) return 'not detected'
      },
    },
    {
      id: 'live-idle',
      title:
        'A healthy connection without messages is kept for ten minutes, and the application receives nothing',
      async run(_, rig) {
        const client = await rig.steady()
        await rig.pass(600_000)
        if (rig.server.connections.length > 1) return `${rig.server.connections.length} connections`
        if (client.events.message.length) return `receives ${client.events.message[0]}`
      },
    },
  ],
}
