// Tests the buttons of the demo that break its connections, in every engine.
import { expect, test } from 'vitest'
import { startDemo } from '../demo/start.ts'
import {
  errors,
  injectFault,
  longestDelay,
  waitForStreams,
  waitForText,
  waitUntilReady,
} from './demo-page.ts'
import { inEveryEngine } from './rig.ts'

/**
 * The report of the page after each fault. A frozen connection must be detected by the heartbeat, within seconds. After a server asks for four
 * seconds with `retry-after`, no attempt may be made before.
 */
const faults = {
  cut: /detected after .*, back after .*, in order.* reliable 0\./,
  freeze: /detected after [1-9]\.\d+ s, back after [1-9]\.\d+ s.*plain [1-9]\d*, reliable 0\./,
  refuse:
    /detected after .*, back after ([5-9]|\d\d)\.\d+ s; .* \d+ were queued and .*, in order.* plain [1-9]\d*, reliable 0\./,
  busy: /detected after .*, back after ([4-9]|\d\d)\.\d+ s; .*, in order.* reliable 0\./,
  restart: /detected after .*, back after \d+\.\d+ s; .*, in order.* reliable 0\./,
  slow: /latency up to ([89]|\d\d)\d\d ms, no reconnection; .* reliable 0\./,
  close: /detected after .*, back after .*, in order.* reliable 0\./,
}

inEveryEngine(rig => {
  test('each broken connection is detected, timed and replaced, and the reliable stream loses nothing', async () => {
    const testFault = async (fault: keyof typeof faults) => {
      const demo = await startDemo()
      const page = await rig.engine.open(demo.url, 'window')
      let ended: Promise<unknown> | undefined
      const end = () => (ended ??= page.close().then(demo.stop))
      rig.keep({ close: end })
      await waitUntilReady(page)
      await waitForStreams(page)
      let text = await injectFault(page, `fault-${fault}`)
      // The heartbeat has a timeout of two seconds, of which a slow connection takes up to one. If the machine was too busy for the other
      // second, the report is not meaningful, so the fault is repeated.
      while (!faults[fault].test(text) && (await longestDelay(page)) >= 1_000) {
        text = await injectFault(page, `fault-${fault}`)
      }
      expect(text).toMatch(faults[fault])
      expect(await waitForText(page, '#noticed', '.')).toMatch(fault === 'slow' ? /…/ : /\d m?s/)
      expect(await waitForText(page, '#reliable-lost', '\\d')).toBe('0')
      expect(await errors(page)).toEqual([])
      // The page draws all the time, which would slow down those of the other faults.
      await end()
    }
    // Three windows at a time: the faults mostly wait, but the machine has to render the windows.
    const groups = [
      ['refuse', 'cut'],
      ['busy', 'restart'],
      ['slow', 'freeze', 'close'],
    ] as const
    await Promise.all(
      groups.map(async group => {
        for (const fault of group) await testFault(fault)
      }),
    )
  })
})
