// Starts the demo in its own processes, and clients that send and receive the same messages as the page.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { createWatch } from '../support/watch.ts'

export interface Demo {
  /** The URL that the process has printed. */
  readonly url: string
  /** The output of the process so far. */
  readonly output: string
  /** Resolves when the output contains this text. */
  prints(text: string): Promise<void>
  /** Stops the process with SIGINT, as Ctrl+C does. Resolves with the exit code. */
  stop(): Promise<number | null>
  /** Kills the process with SIGKILL. */
  kill(): Promise<number | null>
}

/** Starts one of the scripts in `demo/server/`, and reads its URL from its output. */
export const startDemo = async (script = 'server.mjs', more: NodeJS.ProcessEnv = {}): Promise<Demo> => {
  const { REDIS_URL: _, SERVICE: __, ...env } = process.env
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL(`../../demo/server/${script}`, import.meta.url))],
    {
      env: { ...env, PORT: '0', HOST: '', ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const exited = once(child, 'exit') as Promise<[number | null]>
  let errors = ''
  child.stderr.on('data', (text: Buffer) => {
    errors += text
    process.stderr.write(text)
  })
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    const [code] = await exited
    return code
  }
  let output = ''
  const { look, until } = createWatch()
  child.stdout.on('data', (text: Buffer) => {
    output += text
    look()
  })
  const prints = async (text: string) => void (await until(() => output.includes(text)))
  await Promise.race([prints('Ctrl+C'), exited])
  const [url] = /http:\/\/\S+\//.exec(output) ?? []
  if (!url) throw new Error(`the demo did not print its URL: ${output}${errors}`)
  return {
    url,
    get output() {
      return output
    },
    prints,
    stop: () => end('SIGINT'),
    kill: () => end('SIGKILL'),
  }
}

export interface Visitor {
  readonly socket: WebSocket
  /** All text messages, parsed, and all binary messages. */
  readonly texts: any[]
  readonly frames: Buffer[]
  send(message: object | Buffer): void
  /** Resolves with the first text message that matches, now or later. */
  receives(matches: (message: any) => unknown): Promise<any>
  until<Found>(find: () => Found | undefined | false): Promise<Found>
}

/** Connects with `ws`, without the package, and keeps all messages. */
export const visit = async ({ url }: { readonly url: string }, path: string): Promise<Visitor> => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`)
  const texts: any[] = []
  const frames: Buffer[] = []
  const { look, until } = createWatch()
  socket.on('error', () => {})
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) frames.push(data)
    else texts.push(JSON.parse(String(data)))
    look()
  })
  await once(socket, 'open')
  return {
    socket,
    texts,
    frames,
    send: message => socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message)),
    receives: matches => until(() => texts.find(matches)),
    until,
  }
}

/** Fetches a page of the apps as soon as they are built. */
export const fetchApp = async (url: string): Promise<Response> => {
  const page = await fetch(url)
  if (page.status !== 503) return page
  await page.text()
  await new Promise(resolve => setTimeout(resolve, 100))
  return fetchApp(url)
}

/** Sends the request of a button of the page. Returns the status and the text of the response. */
export const press = async (
  { url }: { readonly url: string },
  control: string,
): Promise<[number, string]> => {
  const response = await fetch(`${url}control/${control}`, { method: 'POST' })
  return [response.status, await response.text()]
}
