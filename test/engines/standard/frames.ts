// What the server sends, frame by frame. https://www.rfc-editor.org/rfc/rfc6455#section-5
import type { Case, Cases } from './under.ts'

/** Bytes that no server may send, in hexadecimal digits, and why. */
const broken = {
  'a reserved opcode': '8300',
  'a reserved opcode of control frames': '8b00',
  'RSV1, without the extension for it': 'c100',
  RSV2: 'a100',
  RSV3: '9100',
  'a masked frame': '818100000000',
  'text that is not UTF-8': '8101ff',
  'text with half of a surrogate pair': '8103eda080',
  'text in overlong UTF-8': '8102c080',
  'a continuation of nothing': '8000',
  'a message in the middle of another': '010161810162',
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
      `${what} fails the connection, and what came before is heard`,
      {
        wpt: [
          'interfaces/WebSocket/events/015',
          'interfaces/WebSocket/events/017',
          'interfaces/WebSocket/events/018',
        ],
        given: hex,
        run: async (u, given) => {
          const socket = u.make(await u.lonely(`?text=before&when=message&hex=${given}&code=4000`))
          const told = u.end(socket)
          socket.onmessage = () => socket.send('go')
          return told
        },
        standard: ['open 1', 'message 1 before', 'error 3', 'close 3 1006 unclean'],
      } satisfies Case,
    ]),
  ),
  'a message in fragments is one message': {
    run: async u => {
      // In text and in binary; with a cut through a character, with empty ones, with a ping and a pong between.
      const text = '0101f0' + '0000' + '890170' + '00029f98' + '8a00' + '800180'
      const binary = '020101' + '000102' + '800103'
      const socket = u.make(u.url(`?hex=${text}${binary}8100`))
      const all: unknown[] = []
      await new Promise<void>(resolve => {
        socket.onmessage = ({ data }) => {
          if (all.push(data) === 3) resolve()
        }
      })
      return Promise.all(all.map(u.said))
    },
    standard: ["'😀'", 'Blob 010203', "''"],
  },
  'a ping is answered, a pong is not, and the page hears of neither': {
    run: async u => {
      const id = u.id()
      const socket = u.make(u.url(`?id=${id}&hex=890568656c6c6f8a01788900&code=4000`))
      const story = await u.end(socket)
      const { pongs, messages } = await u.heard(id)
      return [story, pongs.filter(pong => pong !== '0x').join(), messages]
    },
    standard: [['open 1', 'close 3 4000 clean'], '0x68656c6c6f', []],
  },
  'lengths that are longer than they need be': {
    run: async u => {
      const stories: string[][] = []
      for (const hex of ['817e000161', '817f000000000000000161']) {
        const socket = u.make(await u.lonely(`?when=message&hex=${hex}&code=4000`))
        const told = u.end(socket)
        socket.onopen = () => socket.send('go')
        stories.push(await told)
      }
      return stories
    },
  },
}
