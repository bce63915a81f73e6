// nginx as a reverse proxy before the WebSocket server, without and with TLS, as in most deployments.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Certificate, makeCertificate } from '../support/certificate.ts'
import { canInstall, findOrInstall, findProgram } from '../support/debian.ts'
import { freePort } from '../support/ports.ts'
import { missing } from '../support/run.ts'

const program = () => findProgram(process.env.NGINX_PATH, '/usr/sbin/nginx', 'nginx')

/** Whether nginx can run here. It is installed if that is possible, and reported as missing otherwise. */
export function hasNginx(): boolean {
  if (findOrInstall(program, 'nginx-light')) return true
  missing('nginx', 'install nginx-light, or name it with NGINX_PATH', canInstall())
  return false
}

export interface NginxOptions {
  /** Port of the server behind it. */
  port: number
  /** The seconds without a byte from the server after which it closes the connection. Default: 60, like nginx. */
  readTimeout?: number
  /** Another configuration for the block `http`. Its port 80 and its upstream servers are replaced. */
  recipe?: string
}

export interface Nginx {
  /** Without a path: `ws:` and `wss:`. */
  readonly url: string
  readonly secureUrl: string
  /** The certificate in use, to be trusted by a client. */
  readonly certificate: Certificate
  stop(): Promise<void>
}

interface Ports {
  plain: number
  secure: number
}

const proxy = (ports: Ports, { port, readTimeout = 60 }: NginxOptions) => `
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    server {
      listen 127.0.0.1:${ports.plain};
      listen 127.0.0.1:${ports.secure} ssl;
      ssl_certificate cert.pem;
      ssl_certificate_key key.pem;
      location / {
        proxy_pass http://127.0.0.1:${port};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header Host $host;
        proxy_read_timeout ${readTimeout}s;
      }
    }
`

const adapt = (recipe: string, ports: Ports, port: number) =>
  recipe
    .replaceAll('listen 80;', `listen 127.0.0.1:${ports.plain};`)
    .replaceAll(/server 127\.0\.0\.1:\d+;/g, `server 127.0.0.1:${port};`)

const config = (ports: Ports, options: NginxOptions) => `
  ${process.getuid?.() === 0 ? 'user root;' : ''}
  worker_processes 1;
  daemon off;
  pid nginx.pid;
  error_log stderr notice;
  events { worker_connections 1024; }
  http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    ${options.recipe ? adapt(options.recipe, ports, options.port) : proxy(ports, options)}
  }
`

/** Starts nginx before `port`, with a certificate of its own; resolves when it listens. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const nginx = program()
  if (!nginx) throw new Error('no nginx here')
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'))
  const certificate = makeCertificate()
  const ports = { plain: await freePort(), secure: await freePort() }
  writeFileSync(join(folder, 'cert.pem'), certificate.cert)
  writeFileSync(join(folder, 'key.pem'), certificate.key, { mode: 0o600 })
  writeFileSync(join(folder, 'nginx.conf'), config(ports, options))

  const child = spawn(nginx, ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  // Ends nginx if the test process ends early.
  const kill = () => void child.kill('SIGTERM')
  process.on('exit', kill)
  const log: string[] = []
  const lines = createInterface(child.stderr)
  const started = new Promise<void>(resolve => {
    lines.on('line', line => {
      log.push(line)
      if (line.includes('start worker process ')) resolve()
    })
  })
  const exited = once(child, 'exit').finally(() => {
    process.off('exit', kill)
    rmSync(folder, { recursive: true, force: true })
  })
  await Promise.race([started, exited.then(() => Promise.reject(new Error(`nginx: ${log.join('\n')}`)))])

  return {
    url: `ws://127.0.0.1:${ports.plain}`,
    secureUrl: `wss://localhost:${ports.secure}`,
    certificate,
    async stop() {
      kill()
      await exited
    },
  }
}
