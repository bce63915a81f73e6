// Events of the network and the page.
import { afterAttempt, checkOneConnection, inOutage } from './outage.mjs'

export const network = {
  subject: 'Network and page',
  scenarios: [
    {
      id: 'network-offline',
      title: 'There are no attempts while the browser reports that it is offline',
      why: 'https://html.spec.whatwg.org/multipage/system-state.html#navigator.online',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady(rig.url.replace('127.0.0.1', 'page.test'))
        const { length } = rig.server.attempts
        rig.page.online(false)
        rig.server.mode = 'refuse'
        rig.server.open[0]?.cut()
        await rig.pass(25_000)
        const attempts = rig.server.attempts.length - length
        if (attempts) return 'continues with attempts'
      },
    },
    {
      id: 'network-online',
      title: 'An attempt starts at once when the network is back',
      needs: 'reconnects',
      async run(_, rig) {
        await inOutage(rig, rig.url.replace('127.0.0.1', 'page.test'))
        rig.page.online(false)
        await rig.pass(60_000)
        // If the library made an attempt in spite of that, it has failed by now.
        await afterAttempt(rig)
        rig.server.mode = 'accept'
        rig.page.online(true)
        if (!(await rig.until(() => rig.server.open.length, 400))) return 'still waits'
      },
    },
    {
      id: 'network-online-twice',
      title: 'There is only one connection if the network comes back during an attempt',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.server.mode = 'hang'
        rig.server.latest.cut()
        const { length } = rig.server.attempts
        if (!(await rig.until(() => rig.server.attempts.length > length))) return 'does not reconnect'
        rig.page.online(false)
        rig.page.online(true)
        await rig.pass(1_000)
        rig.page.online(true)
        await rig.pass(1_000)
        return checkOneConnection(rig)
      },
    },
    {
      id: 'network-page-shown',
      title: 'An attempt starts at once when the page is shown again',
      why: 'https://html.spec.whatwg.org/multipage/interaction.html#page-visibility',
      needs: 'reconnects',
      async run(_, rig) {
        await inOutage(rig)
        await afterAttempt(rig)
        rig.server.mode = 'accept'
        rig.page.show()
        if (!(await rig.until(() => rig.server.open.length, 400))) return 'still waits'
      },
    },
  ],
}
