// Deviations of engines from the standard, with the date when they were last seen. If an engine no longer deviates, its tests pass as well. Any
// other result fails.
import type { Engine } from '../engines.ts'

export interface Deviation {
  /** What the engine does instead, as part of the name of a test. */
  readonly what: string
  /** When it was last seen in the newest version that Debian had. */
  readonly seen: string
  /** The result of the case, or a function that recognizes the result if it varies between runs. */
  readonly instead: unknown
}

const NOVEMBER = '2026-11-29'

const acceptedClose = (code: number) => ({
  what: 'accepts it as a valid close frame',
  seen: NOVEMBER,
  instead: ['open 1', 'message 1 before', `close 3 ${code} clean`],
})

const opensAnyway = {
  what: 'opens without a subprotocol',
  seen: NOVEMBER,
  instead: ['open 1', 'close 3 1005 clean'],
}

const followsRedirect = {
  what: 'follows the redirect',
  seen: NOVEMBER,
  instead: ['open 1', 'close 3 1005 clean'],
}

const truncates = {
  what: 'truncates the number',
  seen: NOVEMBER,
  instead: [...Array(4).fill('DOMException InvalidAccessError 15'), 3000, 3001, 4999],
}

const omitsReason = {
  what: 'omits the reason',
  seen: NOVEMBER,
  instead: [-1, '', ['close 3 1005 clean']],
}

const countsHeaders = (instead: unknown) => ({
  what: 'counts the headers of frames',
  seen: NOVEMBER,
  instead,
})

/** The deviations by the title of the case. */
export const deviations: Readonly<Record<string, Partial<Record<Engine['name'], Deviation>>>> = {
  'for…in lists all enumerable properties': {
    chromium: {
      what: 'also has the method `when` of observables',
      seen: NOVEMBER,
      instead: (result: string[]) => result.includes('when'),
    },
  },
  'the constructor resolves an empty URL to that of the document or worker': {
    firefox: { what: 'throws for it', seen: NOVEMBER, instead: 'DOMException SyntaxError 12' },
  },
  'the constructor throws for a space in the host': {
    chromium: { what: 'escapes it', seen: NOVEMBER, instead: ['nothing', 'nothing'] },
  },
  'a connection to a blocked port fails like any network error': {
    webkit: {
      what: 'fires `error` while it is connecting, and nothing more',
      seen: NOVEMBER,
      instead: Array(5).fill(['nothing', ['error 0']]),
    },
  },
  'the connection fails if the server selects a subprotocol and none was offered': { firefox: opensAnyway },
  'the connection fails if the server selects no subprotocol': { firefox: opensAnyway, webkit: opensAnyway },
  'the connection fails if the server selects a subprotocol in different case': {
    webkit: { what: 'ignores the case', seen: NOVEMBER, instead: ['open 1', 'close 3 1005 clean'] },
  },
  'the connection fails if the server selects two subprotocols, or an empty one': {
    webkit: {
      what: 'uses the first of two headers',
      seen: NOVEMBER,
      instead: [
        ['open 1', 'close 3 1005 clean'],
        ['error 3', 'close 3 1006 unclean'],
        ['error 3', 'close 3 1006 unclean'],
      ],
    },
  },
  'a redirect by 301 fails the connection': { webkit: followsRedirect },
  'a redirect by 302 fails the connection': { webkit: followsRedirect },
  'a redirect by 307 fails the connection': { webkit: followsRedirect },
  'capturing listeners are called first': {
    chromium: {
      what: 'ignores capture for targets that are not nodes',
      seen: NOVEMBER,
      instead: ['listener', 'handler', 'captures'],
    },
  },
  'text, buffers and Blobs arrive in the order of the calls': {
    webkit: {
      what: 'loses messages after a Blob when the socket is closed',
      seen: NOVEMBER,
      // Depends on how much of the Blobs has been read by then.
      instead: ([wellFormed, messages]: [boolean, string[]]) =>
        wellFormed &&
        messages.every(
          (message, i) => message === ['0x30', '1', '0x32', '0x33', '4', '0x35', '0x36', '7'][i],
        ),
    },
  },
  'bufferedAmount grows after close(), and does not fall any more': {
    webkit: countsHeaders([0, 11, 28, 28, 37, 37]),
  },
  'bufferedAmount grows after close() while connecting': { webkit: countsHeaders([11, 18]) },
  'bufferedAmount keeps the bytes that could not be sent': { webkit: countsHeaders(11) },
  ...Object.fromEntries(
    [0, 999, 1005, 1006, 1015, 5000].map(code => [
      `close code ${code} fails the connection, and messages before it are received`,
      { firefox: acceptedClose(code) },
    ]),
  ),
  'half a close code fails the connection, and messages before it are received': {
    firefox: acceptedClose(1005),
  },
  'close() rounds the code to the nearest integer, halves to the even one': {
    chromium: truncates,
    webkit: truncates,
  },
  'close() with a reason and without a code sends 1000': {
    chromium: {
      what: 'converts undefined to 0 and throws',
      seen: NOVEMBER,
      instead: (result: unknown) => String(result).startsWith('threw InvalidAccessError'),
    },
    firefox: omitsReason,
    webkit: omitsReason,
  },
  'the server closes with any code that it may use': {
    webkit: {
      what: 'answers a close without a code with 1000',
      seen: NOVEMBER,
      instead: [
        'open 1, close 3 1005 clean / 1000',
        ...[1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map(
          code => `open 1, close 3 ${code} clean / ${code}`,
        ),
      ],
    },
  },
  'the server closes with 1012, 1013 or 1014': {
    webkit: {
      what: 'treats them as invalid frames',
      seen: NOVEMBER,
      instead: Array(3).fill('open 1, error 3, close 3 1006 unclean'),
    },
  },
  'messages that the server sends after its close frame are not received': {
    chromium: {
      what: 'treats it as an invalid frame',
      seen: NOVEMBER,
      instead: ['open 1', 'error 3', 'close 3 1006 unclean'],
    },
  },
  'messages in the same packet as the close frame of the server, and after it, are not received': {
    chromium: {
      what: 'treats it as an invalid frame',
      seen: NOVEMBER,
      instead: ['open 1', 'message 1 before', 'error 3', 'close 3 1006 unclean'],
    },
  },
  'the server resets the connection': {
    chromium: {
      what: 'has no error event',
      seen: NOVEMBER,
      instead: ['open 1', 'close 3 1006 unclean'],
    },
  },
}
