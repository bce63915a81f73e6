// What the browser knows about the network and the page.
import { afterAttempt, inOutage, notOne } from './outage.mjs'

export const network = {
  subject: 'Network and page',
  scenarios: [
    {
      id: 'network-offline',
      title: 'No attempts while the browser says that there is no network',
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
        if (attempts) return 'tries on'
      },
    },
    {
      id: 'network-online',
      title: 'The network comes back: an attempt at once',
      needs: 'reconnects',
      async run(_, rig) {
        await inOutage(rig, rig.url.replace('127.0.0.1', 'page.test'))
        rig.page.online(false)
        await rig.pass(60_000)
        // Those that try on all the same have just failed.
        await afterAttempt(rig)
        rig.server.mode = 'accept'
        rig.page.online(true)
        if (!(await rig.until(() => rig.server.open.length, 400))) return 'waits on'
      },
    },
    {
      id: 'network-online-twice',
      title: 'The network comes back during an attempt: still one connection',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.server.mode = 'hang'
        rig.server.latest.cut()
        const { length } = rig.server.attempts
        if (!(await rig.until(() => rig.server.attempts.length > length))) return 'does not come back'
        rig.page.online(false)
        rig.page.online(true)
        await rig.pass(1_000)
        rig.page.online(true)
        await rig.pass(1_000)
        return notOne(rig)
      },
    },
    {
      id: 'network-page-shown',
      title: 'A page that is looked at again does not wait out the backoff',
      why: 'https://html.spec.whatwg.org/multipage/interaction.html#page-visibility',
      needs: 'reconnects',
      async run(_, rig) {
        await inOutage(rig)
        await afterAttempt(rig)
        rig.server.mode = 'accept'
        rig.page.show()
        if (!(await rig.until(() => rig.server.open.length, 400))) return 'waits on'
      },
    },
  ],
}
