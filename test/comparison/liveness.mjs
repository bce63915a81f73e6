// Connections that look healthy and are not, and the other way round.

import { comesBack } from './outage.mjs'

export const liveness = {
  subject: 'Liveness',
  scenarios: [
    {
      id: 'live-half-open',
      title: 'A half-open connection is noticed and replaced within a minute',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/98',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.server.latest.freeze()
        if (!(await comesBack(rig, 60_000))) return 'not noticed'
      },
    },
    {
      id: 'live-half-open-sending',
      title: 'The same while messages are sent',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/98',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await rig.steady()
        rig.server.latest.freeze()
        for (let i = 0; i < 60 && rig.server.connections.length < 2; i++) {
          client.send(`${i}`)
          await rig.pass(1_000)
        }
        if (rig.server.connections.length < 2) return 'not noticed'
      },
    },
    {
      id: 'live-idle',
      title:
        'A healthy connection without messages is kept for ten minutes, and the application hears nothing',
      async run(_, rig) {
        const client = await rig.steady()
        await rig.pass(600_000)
        if (rig.server.connections.length > 1) return `${rig.server.connections.length} connections`
        if (client.heard.message.length) return `hears ${client.heard.message[0]}`
      },
    },
  ],
}
