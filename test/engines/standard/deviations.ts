// Where an engine's own class does something else than the standard says. Each was seen at its date; an engine that no longer does it is right,
// and its tests pass as well. What is neither the standard nor in this table fails.
import type { Engine } from '../engines.ts'

export interface Deviation {
  /** What the engine does. */
  readonly what: string
  /** When it was last seen in the newest version that Debian had. */
  readonly seen: string
  /** The result of the case there, or whether something is it, where that differs from run to run. */
  readonly instead: unknown
}

const november = '2026-11-29'

const proper = (code: number) => ({
  what: 'takes it for a proper close',
  seen: november,
  instead: ['open 1', 'message 1 before', `close 3 ${code} clean`],
})

const unasked = {
  what: 'opens without a subprotocol',
  seen: november,
  instead: ['open 1', 'close 3 1005 clean'],
}

const redirected = {
  what: 'goes where it is sent',
  seen: november,
  instead: ['open 1', 'close 3 1005 clean'],
}

const cutOff = {
  what: 'cuts off what is behind the point',
  seen: november,
  instead: [...Array(4).fill('DOMException InvalidAccessError 15'), 3000, 3001, 4999],
}

const forgetful = {
  what: 'forgets the reason',
  seen: november,
  instead: [-1, '', ['close 3 1005 clean']],
}

const heads = (instead: unknown) => ({ what: 'counts the heads of frames', seen: november, instead })

/** By the title of a case. */
export const deviations: Readonly<Record<string, Partial<Record<Engine['name'], Deviation>>>> = {
  'for…in lists what there is': {
    chromium: {
      what: 'has `when` of observables as well',
      seen: november,
      instead: (result: string[]) => result.includes('when'),
    },
  },
  'takes an empty address for that of the document or the worker': {
    firefox: { what: 'refuses it', seen: november, instead: 'DOMException SyntaxError 12' },
  },
  'refuses a space in a host': {
    chromium: { what: 'escapes it', seen: november, instead: ['nothing', 'nothing'] },
  },
  'a blocked port fails as any network error does': {
    webkit: {
      what: 'fires `error` while it is connecting, and nothing more',
      seen: november,
      instead: Array(5).fill(['nothing', ['error 0']]),
    },
  },
  'fails when the server chooses without having been asked': { firefox: unasked },
  'fails when the server does not choose': { firefox: unasked, webkit: unasked },
  'fails when the server chooses in another case': {
    webkit: { what: 'does not look at the case', seen: november, instead: ['open 1', 'close 3 1005 clean'] },
  },
  'fails when the server chooses two, or an empty one': {
    webkit: {
      what: 'takes the first of two headers',
      seen: november,
      instead: [
        ['open 1', 'close 3 1005 clean'],
        ['error 3', 'close 3 1006 unclean'],
        ['error 3', 'close 3 1006 unclean'],
      ],
    },
  },
  'a redirect by 301 is a refusal': { webkit: redirected },
  'a redirect by 302 is a refusal': { webkit: redirected },
  'a redirect by 307 is a refusal': { webkit: redirected },
  'who captures hears first': {
    chromium: {
      what: 'knows but one order for targets that are no nodes',
      seen: november,
      instead: ['listener', 'handler', 'captures'],
    },
  },
  'keeps the order of text, buffers and Blobs': {
    webkit: {
      what: 'loses what is behind a Blob when it is closed',
      seen: november,
      // As much as it has read of the Blobs by then.
      instead: ([wellFormed, messages]: [boolean, string[]]) =>
        wellFormed &&
        messages.every(
          (message, i) => message === ['0x30', '1', '0x32', '0x33', '4', '0x35', '0x36', '7'][i],
        ),
    },
  },
  'bufferedAmount grows after close(), and never falls again': { webkit: heads([0, 11, 28, 28, 37, 37]) },
  'bufferedAmount grows after a close() while it connected': { webkit: heads([11, 18]) },
  'bufferedAmount keeps what could not be sent': { webkit: heads(11) },
  ...Object.fromEntries(
    [0, 999, 1005, 1006, 1015, 5000].map(code => [
      `close code ${code} fails the connection, and what came before is heard`,
      { firefox: proper(code) },
    ]),
  ),
  'half a close code fails the connection, and what came before is heard': { firefox: proper(1005) },
  'close takes the nearest code, the even one in doubt': { chromium: cutOff, webkit: cutOff },
  'close with a reason and no code is 1000': {
    chromium: {
      what: 'takes undefined for 0 there, and throws',
      seen: november,
      instead: (result: unknown) => String(result).startsWith('threw InvalidAccessError'),
    },
    firefox: forgetful,
    webkit: forgetful,
  },
  'the server closes with any code that it may use': {
    webkit: {
      what: 'answers a close without a code with 1000',
      seen: november,
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
      what: 'takes them for broken frames',
      seen: november,
      instead: Array(3).fill('open 1, error 3, close 3 1006 unclean'),
    },
  },
  'what the server sends after it closed is not heard': {
    chromium: {
      what: 'takes it for a broken frame',
      seen: november,
      instead: ['open 1', 'error 3', 'close 3 1006 unclean'],
    },
  },
  'what the server sends in one go with its close frame, after it, is not heard': {
    chromium: {
      what: 'takes it for a broken frame',
      seen: november,
      instead: ['open 1', 'message 1 before', 'error 3', 'close 3 1006 unclean'],
    },
  },
  'the server cuts the connection': {
    chromium: {
      what: 'has no error event',
      seen: november,
      instead: ['open 1', 'close 3 1006 unclean'],
    },
  },
}
