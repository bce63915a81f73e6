// The demo in processes of its own, and clients that talk to it as the page does.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { createWatch } from '../support/watch.ts'

export interface Demo {
  /** Where it is, as it has said. */
  readonly url: string
  /** All that it has printed so far. */
  readonly said: string
  /** In good order, as Ctrl+C does. Resolves with the exit code. */
  stop(): Promise<number | null>
  /** With SIGKILL. */
  kill(): Promise<number | null>
}

/** Starts one of the scripts in `demo/` and reads its address from what it prints. */
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
  let complaints = ''
  child.stderr.on('data', (text: Buffer) => {
    complaints += text
    process.stderr.write(text)
  })
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    const [code] = await exited
    return code
  }
  let said = ''
  for await (const text of child.stdout) {
    said += text
    if (said.includes('\n')) break
  }
  if (!said.includes('\n')) await exited
  const [url] = /http:\/\/\S+\//.exec(said) ?? []
  if (!url) throw new Error(`the demo did not say where it is: ${said}${complaints}`)
  return { url, said, stop: () => end('SIGINT'), kill: () => end('SIGKILL') }
}

export interface Visitor {
  readonly socket: WebSocket
  /** What came as text, parsed, and as binary. */
  readonly texts: any[]
  readonly frames: Buffer[]
  say(message: object | Buffer): void
  /** The first text of which this is true, of those that came already too. */
  hears(isIt: (message: any) => unknown): Promise<any>
  until<Found>(find: () => Found | undefined | false): Promise<Found>
}

/** Connects without any help from the package, and keeps what it hears. */
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
    say: message => socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message)),
    hears: isIt => until(() => texts.find(isIt)),
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

export const press = async (
  { url }: { readonly url: string },
  control: string,
): Promise<[number, string]> => {
  const answer = await fetch(`${url}control/${control}`, { method: 'POST' })
  return [answer.status, await answer.text()]
}
