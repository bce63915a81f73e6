// Every kind of message in both directions, with the built bundle in real browsers.
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.ts'
import { type ServerOptions, startServer } from '../interop/ws.ts'
import { inEveryEngine, type Rig } from './rig.ts'

/** The global of the UMD bundle, in the page. */
declare const SteadySocket: typeof Package

/** A JPEG file of 1×1 pixel. */
const jpeg = Buffer.from(
  '/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8Q' +
    'EBD/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q==',
  'base64',
)

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

/** Returns bytes that differ from their neighbours, the same here and in a page. */
const pattern = (length: number) =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255))

/** Starts a server, and opens a page with the package. */
async function start(rig: Rig, options?: ServerOptions) {
  const server = rig.keep(await startServer(options))
  return { server, page: await rig.open() }
}

/** In the page: sends texts, and collects their echoes. */
function exchangeTexts(url: string, texts: string[]) {
  return new Promise<{ results: string[]; echoes: string[] }>((resolve, reject) => {
    const socket = SteadySocket.createSocket(url)
    const echoes: string[] = []
    let results: string[] = []
    socket.on('open', () => {
      results = texts.map(text => socket.send(text))
    })
    socket.on('text', text => {
      echoes.push(text)
      if (echoes.length < texts.length) return
      socket.close()
      resolve({ results, echoes })
    })
    socket.on('binary', () => reject(new Error('text came back as binary')))
  })
}

const dataClasses = ['ArrayBuffer', 'Uint8Array', 'DataView', 'Uint16Array', 'Blob', 'File'] as const
type DataClass = (typeof dataClasses)[number]

/**
 * In the page: sends bytes, given as base64, each as an object of the requested class. Returns the echoes as base64, with the names of their
 * classes.
 */
async function exchangeBytes(
  url: string,
  messages: [dataClass: DataClass, base64: string][],
  binaryType: BinaryType,
) {
  const decode = (base64: string) => Uint8Array.from(atob(base64), char => char.charCodeAt(0))
  const encode = (bytes: Uint8Array) => btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))
  const dataClasses: Record<DataClass, (bytes: Uint8Array<ArrayBuffer>) => Package.Data> = {
    ArrayBuffer: bytes => bytes.buffer,
    Uint8Array: bytes => bytes,
    // A view into a larger buffer, whose other bytes must not be sent.
    DataView: bytes => {
      const larger = new Uint8Array(bytes.length + 20).fill(255)
      larger.set(bytes, 7)
      return new DataView(larger.buffer, 7, bytes.length)
    },
    Uint16Array: bytes => new Uint16Array(bytes.buffer),
    Blob: bytes => new Blob([bytes]),
    File: bytes => new File([bytes], 'photo.jpg', { type: 'image/jpeg' }),
  }
  const socket = SteadySocket.createSocket(url, { binaryType })
  const received = await new Promise<(ArrayBuffer | Blob)[]>((resolve, reject) => {
    const all: (ArrayBuffer | Blob)[] = []
    socket.on('open', () => {
      for (const [dataClass, base64] of messages) socket.send(dataClasses[dataClass](decode(base64)))
    })
    socket.on('binary', data => {
      all.push(data)
      if (all.length === messages.length) resolve(all)
    })
    socket.on('text', () => reject(new Error('binary came back as text')))
  })
  socket.close()
  const answers: [type: string, base64: string][] = []
  for (const data of received) {
    const buffer = data instanceof Blob ? await data.arrayBuffer() : data
    answers.push([data.constructor.name, encode(new Uint8Array(buffer))])
  }
  return answers
}

const encode = (bytes: Buffer) => bytes.toString('base64')

inEveryEngine(rig => {
  test('text arrives as it was sent, in order', async () => {
    const { server, page } = await start(rig)
    const texts = ['hello', '', 'naïve Ünïcödé', '日本語', '\u0000\u0001', '{"a":1}', 'x'.repeat(70_000), '']
    const { results, echoes } = await page.evaluate(exchangeTexts, server.url, texts)
    expect(server.received.map(({ data }) => data)).toEqual(texts)
    expect(echoes).toEqual(texts)
    expect(new Set(results)).toEqual(new Set(['sent']))
  })

  test('surrogate pairs are preserved, and lone surrogates are replaced as the platform does', async () => {
    const { server, page } = await start(rig)
    const texts = ['😀', '👩‍👩‍👧‍👦 𝄞 𠮷', '😀'.repeat(40_000), '\ud83d', 'a\ude00b']
    const wellFormed = [...texts.slice(0, 3), '\ufffd', 'a\ufffdb']
    const { echoes } = await page.evaluate(exchangeTexts, server.url, texts)
    expect(server.received.map(({ data }) => data)).toEqual(wellFormed)
    expect(echoes).toEqual(wellFormed)
  })

  test.each(['arraybuffer', 'blob'] as const)(
    'binary data of every class arrives, and is received as %s',
    async type => {
      const { server, page } = await start(rig)
      const bytes = encode(pattern(70_000))
      const messages = dataClasses.map((dataClass): [DataClass, string] => [dataClass, bytes])
      const answers = await page.evaluate(exchangeBytes, server.url, messages, type)
      const name = type === 'blob' ? 'Blob' : 'ArrayBuffer'
      expect(answers).toEqual(messages.map(() => [name, bytes]))
      expect(server.received.every(({ data }) => pattern(70_000).equals(data as Buffer))).toBe(true)
      expect(server.received.length).toBe(dataClasses.length)
    },
  )

  test.each(['arraybuffer', 'blob'] as const)(
    'empty binary messages are sent and received, as %s',
    async type => {
      const { server, page } = await start(rig)
      const messages = dataClasses.map((dataClass): [DataClass, string] => [dataClass, ''])
      const answers = await page.evaluate(exchangeBytes, server.url, messages, type)
      expect(answers.map(([, base64]) => base64)).toEqual(dataClasses.map(() => ''))
      expect(server.received.map(({ data }) => data)).toEqual(dataClasses.map(() => Buffer.alloc(0)))
    },
  )

  test('text, buffers and blobs arrive in the order in which they were sent', async () => {
    const { server, page } = await start(rig)
    const order = await page.evaluate(
      (url: string) =>
        new Promise<string[]>(resolve => {
          const socket = SteadySocket.createSocket(url)
          const seen: string[] = []
          const note = (word: string) => {
            seen.push(word)
            if (seen.length === 30) resolve(seen)
          }
          socket.on('text', text => note(text))
          socket.on('binary', bytes => note(new TextDecoder().decode(bytes)))
          // Sent before the connection opens, so that everything is queued.
          for (let i = 0; i < 30; i += 3) {
            socket.send(`${i}`)
            socket.send(new Blob([`${i + 1}`]))
            socket.send(new TextEncoder().encode(`${i + 2}`))
          }
        }),
      server.url,
    )
    const numbers = Array.from({ length: 30 }, (_, i) => `${i}`)
    expect(server.received.map(({ data }) => data.toString())).toEqual(numbers)
    expect(order).toEqual(numbers)
  })

  test.each(['at once', 'from the queue'])(
    'a message of 16 MiB is sent and received, sent %s',
    async when => {
      const { server, page } = await start(rig)
      const length = 16 * 1024 * 1024
      const answer = await page.evaluate(
        (url: string, length: number, queued: boolean) =>
          new Promise<{ result: string; length: number; wrong: number }>(resolve => {
            const bytes = new Uint8Array(length)
            for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 255
            const socket = SteadySocket.createSocket(url)
            let result = ''
            const send = () => {
              result = socket.send(bytes)
            }
            if (queued) send()
            else socket.on('open', send)
            socket.on('binary', buffer => {
              const echo = new Uint8Array(buffer)
              resolve({ result, length: echo.length, wrong: echo.findIndex((byte, i) => byte !== bytes[i]) })
            })
          }),
        server.url,
        length,
        when === 'from the queue',
      )
      expect(answer).toEqual({ result: when === 'at once' ? 'sent' : 'queued', length, wrong: -1 })
      const [received] = server.received
      expect(pattern(length).equals(received?.data as Buffer)).toBe(true)
    },
  )

  test('a message in several frames is received as one message', async () => {
    const { server, page } = await start(rig)
    const opened = server.next('connection')
    const echoed = page.evaluate(
      (url: string) =>
        new Promise<string[]>(resolve => {
          const socket = SteadySocket.createSocket(url)
          const seen: string[] = []
          socket.on('text', text => seen.push(text))
          socket.on('binary', bytes => {
            seen.push(new Uint8Array(bytes).join())
            resolve(seen)
          })
        }),
      server.url,
    )
    const peer = await opened
    peer.send('and a', 'happy new', 'year!')
    // One character is split between two frames. Only the whole message must be valid UTF-8.
    const grin = Buffer.from('😀')
    peer.send('', '', 'x')
    peer.send(...['a', 'b', 'c'].map(text => text.repeat(40_000)))
    peer.send(grin.subarray(0, 2), grin.subarray(2), Buffer.from([1]))
    expect(await echoed).toEqual([
      'and ahappy newyear!',
      'x',
      ['a', 'b', 'c'].map(text => text.repeat(40_000)).join(''),
      [...grin, 1].join(),
    ])
  })

  describe.each([true, false])('permessage-deflate: %s', perMessageDeflate => {
    test('text and binary messages are sent and received', async () => {
      const { server, page } = await start(rig, { perMessageDeflate })
      const texts = ['', 'a', 'compress me '.repeat(10_000), '😀'.repeat(1_000)]
      const { echoes } = await page.evaluate(exchangeTexts, server.url, texts)
      expect(echoes).toEqual(texts)
      expect(server.connections[0]?.extensions).toBe(perMessageDeflate ? 'permessage-deflate' : '')

      const bytes = encode(pattern(70_000))
      const answers = await page.evaluate(exchangeBytes, server.url, [['Uint8Array', bytes]], 'arraybuffer')
      expect(answers).toEqual([['ArrayBuffer', bytes]])
    })

    test('a fragmented message is received as one message', async () => {
      const { server, page } = await start(rig, { perMessageDeflate })
      const opened = server.next('connection')
      const echoed = page.evaluate(
        (url: string) => new Promise<string>(resolve => SteadySocket.createSocket(url).on('text', resolve)),
        server.url,
      )
      const peer = await opened
      peer.send('and a', 'happy new', 'year!')
      expect(await echoed).toBe('and ahappy newyear!')
    })
  })

  test('the server selects a subprotocol', async () => {
    const { server, page } = await start(rig, { protocols: ['v2', 'v1'] })
    const agreed = await page.evaluate(
      (url: string) =>
        new Promise<string[]>(resolve => {
          const socket = SteadySocket.createSocket(url, { protocols: ['v9', 'v2'] })
          socket.on('open', ({ protocol }) => resolve([protocol, socket.protocol]))
        }),
      server.url,
    )
    expect(agreed).toEqual(['v2', 'v2'])
    expect(server.connections[0]?.protocol).toBe('v2')
  })

  test('the protocol is empty if no subprotocol was requested', async () => {
    const { server, page } = await start(rig)
    const agreed = await page.evaluate(
      (url: string) =>
        new Promise<string>(resolve => {
          SteadySocket.createSocket(url).on('open', ({ protocol }) => resolve(protocol))
        }),
      server.url,
    )
    expect(agreed).toBe('')
  })

  test('a JPEG file is sent and received without changes', async () => {
    const { server, page } = await start(rig)
    for (const type of ['arraybuffer', 'blob'] as const) {
      server.clear()
      const [answer] = await page.evaluate(exchangeBytes, server.url, [['File', encode(jpeg)]], type)
      const arrived = server.received[0]?.data as Buffer
      expect(arrived.equals(jpeg)).toBe(true)
      expect(sha256(Buffer.from(answer?.[1] ?? '', 'base64'))).toBe(sha256(jpeg))
    }
    // The browser can decode the received file.
    const size = await page.evaluate(
      async (base64: string) => {
        const image = new Image()
        image.src = `data:image/jpeg;base64,${base64}`
        await image.decode()
        return [image.naturalWidth, image.naturalHeight]
      },
      encode(server.received[0]?.data as Buffer),
    )
    expect(size).toEqual([1, 1])
  })
})
