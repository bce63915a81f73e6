// The same echo and broadcast service in four common Python servers, from Debian's packages.
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { canInstall, findOrInstall, findProgram } from '../support/debian.ts'
import { missing } from '../support/run.ts'

export type PythonServer = 'websockets' | 'tornado' | 'aiohttp' | 'django'

/** All servers, for `describe.each`. */
export const pythonServers: readonly PythonServer[] = ['websockets', 'tornado', 'aiohttp', 'django']

// Debian's own Python: another one in PATH does not see Debian's packages.
const python = () => findProgram(process.env.PYTHON_PATH, '/usr/bin/python3', 'python3')

const modules: Record<PythonServer, string[]> = {
  websockets: ['websockets'],
  tornado: ['tornado'],
  aiohttp: ['aiohttp'],
  django: ['django', 'uvicorn', 'websockets'],
}

/** Whether this server can run here. It is installed if that is possible, and reported as missing otherwise. */
export function hasPython(name: PythonServer): boolean {
  const imports = `import ${modules[name].join(', ')}`
  const works = () => {
    const program = python()
    const ran = program && spawnSync(program, ['-c', imports], { stdio: 'ignore' })
    return ran && ran.status === 0 ? program : undefined
  }
  const packages = modules[name].map(module => `python3-${module}`)
  if (findOrInstall(works, 'python3', ...packages)) return true
  const cure = `install ${packages.join(' and ')}, or name an interpreter that has them with PYTHON_PATH`
  missing(`Python's ${name}`, cure, canInstall())
  return false
}

export interface PythonProcess {
  /** Without a path: `/broadcast` broadcasts, every other path echoes. Its subprotocol is `echo.v1`. */
  readonly url: string
  readonly port: number
  /** Kills it. */
  stop(): Promise<void>
}

/** Starts one of the servers on a free port of 127.0.0.1; resolves when it listens. */
export const startPython = (name: PythonServer): Promise<PythonProcess> => startScript(`${name}_server.py`)

/** Starts the Python recipe for reliable sessions, with other values for some of its names. */
export const startRecipe = (port = 0, names: Record<string, unknown> = {}): Promise<PythonProcess> =>
  startScript('reliable_server.py', `${port}`, JSON.stringify(names))

/** Starts the Python service that can replace the one of the demo. */
export const startPushService = (): Promise<PythonProcess> => startScript('push_server.py')

async function startScript(file: string, ...args: string[]): Promise<PythonProcess> {
  const script = fileURLToPath(new URL(file, import.meta.url))
  const program = python()
  if (!program) throw new Error('no python3 here')
  // When stdin closes, the server ends (lifeline.py). -B: write no __pycache__.
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    program,
    ['-B', '-W', 'ignore', script, ...args],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  const exited = once(child, 'exit')
  const line = once(createInterface(child.stdout), 'line')
  const [first] = await Promise.race([
    line,
    exited.then(([code]) => Promise.reject(new Error(`${file} exited: ${code}`))),
  ])
  const port = Number(first)
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    async stop() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** A program from the documentation. It listens on the port in the variable `PORT`, and shuts down after SIGTERM. */
export interface PythonProgram {
  /** Makes it shut down, as a deployment does, and waits until it has ended. */
  leave(): Promise<void>
  /** Kills it. */
  stop(): Promise<void>
}

/** Runs a program in its folder: a file, or a module with its arguments. */
export function startProgram(folder: string, port: number, what: string, ...args: string[]): PythonProgram {
  const program = python()
  if (!program) throw new Error('no python3 here')
  const servers = JSON.stringify(fileURLToPath(new URL('.', import.meta.url)))
  const start = `
import runpy, sys
sys.path[:0] = [".", ${servers}]
import lifeline
sys.argv = sys.argv[1:]
(runpy.run_path if sys.argv[0].endswith(".py") else runpy.run_module)(sys.argv[0], run_name="__main__")
`
  const child = spawn(program, ['-B', '-W', 'ignore', '-c', start, what, ...args], {
    cwd: folder,
    env: { ...process.env, PORT: `${port}` },
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  const exited = once(child, 'exit')
  const end = (signal: NodeJS.Signals) => async () => {
    child.kill(signal)
    await exited
  }
  return { leave: end('SIGTERM'), stop: end('SIGKILL') }
}
