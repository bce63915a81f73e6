// The frames that the server sends. https://www.rfc-editor.org/rfc/rfc6455#section-5
import type { Case, Cases } from './context.ts'

/** Invalid frames in hexadecimal digits, and what is wrong with them. */
const broken = {
  'a reserved opcode': '8300',
  'a reserved opcode of control frames': '8b00',
  'RSV1, without the extension for it': 'c100',
  RSV2: 'a100',
  RSV3: '9100',
  'a masked frame': '818100000000',
  'text that is not UTF-8': '8101ff',
  'text with a lone surrogate': '8103eda080',
  'text in overlong UTF-8': '8102c080',
  'a continuation frame without a first frame': '8000',
  'a message inside a fragmented message': '010161810162',
  'a ping in fragments': '0900',
  'a ping that is too long': `897e007e${'00'.repeat(126)}`,
  'a length beyond 63 bits': '82ffffffffffffffffff',
  'half a close code': '880100',
  'close code 0': '88020000',
  'close code 999': '880203e7',
  'close code 1005': '880203ed',
  'close code 1006': '880203ee',
  'close code 1015': '880203f7',
  'close code 5000': '88021388',
  'a close reason that is not UTF-8': '880403e8c328',
  'a close reason that is too long': `887e007e03e8${'61'.repeat(124)}`,
}

export const frames: Cases = {
  ...Object.fromEntries(
    Object.entries(broken).map(([what, hex]) => [
      `${what} fails the connection, and messages before it are received`,
      {
        wpt: [
          'interfaces/WebSocket/events/015',
          'interfaces/WebSocket/events/017',
          'interfaces/WebSocket/events/018',
        ],
        given: hex,
        run: async (u, given) => {
          const socket = u.make(await u.urlOfNewPort(`?text=before&when=message&hex=${given}&code=4000`))
          const events = u.eventsUntilClose(socket)
          socket.onmessage = () => socket.send('go')
          return events
        },
        standard: ['open 1', 'message 1 before', 'error 3', 'close 3 1006 unclean'],
      } satisfies Case,
    ]),
  ),
  'a fragmented message is received as one message': {
    run: async u => {
      // Text and binary, with a character split between fragments, empty fragments, and a ping and a pong between them.
      const text = '0101f0' + '0000' + '890170' + '00029f98' + '8a00' + '800180'
      const binary = '020101' + '000102' + '800103'
      const socket = u.make(u.url(`?hex=${text}${binary}8100`))
      const all: unknown[] = []
      await new Promise<void>(resolve => {
        socket.onmessage = ({ data }) => {
          if (all.push(data) === 3) resolve()
        }
      })
      return Promise.all(all.map(u.describe))
    },
    standard: ["'😀'", 'Blob 010203', "''"],
  },
  'a ping is answered, a pong is not, and neither causes an event': {
    run: async u => {
      const id = u.id()
      const socket = u.make(u.url(`?id=${id}&hex=890568656c6c6f8a01788900&code=4000`))
      const events = await u.eventsUntilClose(socket)
      const { pongs, messages } = await u.received(id)
      return [events, pongs.filter(pong => pong !== '0x').join(), messages]
    },
    standard: [['open 1', 'close 3 4000 clean'], '0x68656c6c6f', []],
  },
  'payload lengths that are not encoded minimally': {
    run: async u => {
      const stories: string[][] = []
      for (const hex of ['817e000161', '817f000000000000000161']) {
        const socket = u.make(await u.urlOfNewPort(`?when=message&hex=${hex}&code=4000`))
        const events = u.eventsUntilClose(socket)
        socket.onopen = () => socket.send('go')
        stories.push(await events)
      }
      return stories
    },
  },
}
