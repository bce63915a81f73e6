// Another server for the protocol of reliable sessions, written only from Azure's public documentation, so that the client is tested with an independent
// implementation. Where the documentation says nothing, it does the simplest thing: a token is valid as long as its session.
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-json-reliable-webpubsub-subprotocol
// https://learn.microsoft.com/azure/azure-web-pubsub/howto-develop-reliable-clients
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

type Json = Record<string, any>

interface Connection {
  readonly connectionId: string
  readonly reconnectionToken: string
  readonly groups: Set<string>
  readonly processed: Set<number>
  sequenceId: number
  undelivered: Json[]
  socket: WebSocket | undefined
  expiry?: NodeJS.Timeout
}

/** The application behind the service, which receives an event and a function to reply. */
export type Upstream = (
  event: string,
  dataType: string,
  data: unknown,
  reply: (message: Json) => void,
) => void

export const startByTheDocuments = async (port: number, upstream: Upstream) => {
  const connections = new Map<string, Connection>()
  const server = new WebSocketServer({ port, host: '127.0.0.1', maxPayload: 2 ** 20 })
  await once(server, 'listening')

  const write = (socket: WebSocket | undefined, frame: Json) => socket?.send(JSON.stringify(frame, null, 2))

  const remove = ({ connectionId, socket }: Connection, message: string) => {
    connections.delete(connectionId)
    write(socket, { type: 'system', event: 'disconnected', message })
    socket?.close(1008, message)
  }

  const deliver = (to: Connection, message: Json) => {
    const frame = { sequenceId: ++to.sequenceId, type: 'message', ...message }
    to.undelivered.push(frame)
    write(to.socket, frame)
    if (to.undelivered.length > 1_000) remove(to, 'too many messages are not acknowledged')
  }

  const request = (from: Connection, frame: Json) => {
    const { type, group, noEcho, event, dataType = 'json', data } = frame
    if (type === 'joinGroup') from.groups.add(group)
    else if (type === 'leaveGroup') from.groups.delete(group)
    else if (type === 'event') upstream(event, dataType, data, message => deliver(from, message))
    else if (type !== 'sendToGroup') throw new Error('no such request')
    else {
      for (const to of connections.values()) {
        if (to.groups.has(group) && !(noEcho && to === from))
          deliver(to, { from: 'group', group, dataType, data, fromUserId: 'somebody' })
      }
    }
  }

  const fail = (name: string, message: string) => ({ success: false, error: { name, message } })

  const carryOut = (from: Connection, frame: Json) => {
    const { ackId } = frame
    if (from.processed.has(ackId))
      return fail('Duplicate', `Message with ack-id: ${ackId} has been processed`)
    try {
      request(from, frame)
    } catch {
      return fail('InternalServerError', 'Internal server error')
    }
    if (ackId !== undefined) from.processed.add(ackId)
    return { success: true }
  }

  server.on('connection', (socket, { url }) => {
    const query = new URL(url as string, 'ws://service').searchParams
    const id = query.get('awps_connection_id')
    const known = connections.get(id ?? '')
    if (id && known?.reconnectionToken !== query.get('awps_reconnection_token')) {
      return socket.close(1008, 'the connection id has been removed')
    }
    const connection: Connection = known ?? {
      connectionId: randomUUID(),
      reconnectionToken: randomUUID(),
      groups: new Set(),
      processed: new Set(),
      sequenceId: 0,
      undelivered: [],
      socket: undefined,
    }
    const { connectionId, reconnectionToken } = connection
    connections.set(connectionId, connection)
    clearTimeout(connection.expiry)
    connection.socket?.terminate()
    connection.socket = socket
    write(socket, { type: 'system', event: 'connected', userId: 'somebody', connectionId, reconnectionToken })
    for (const frame of connection.undelivered) write(socket, frame)

    socket.on('error', () => {})
    socket.on('close', () => {
      if (connection.socket !== socket) return
      connection.socket = undefined
      connection.expiry = setTimeout(() => connections.delete(connectionId), 60_000).unref()
    })
    socket.on('message', text => {
      let frame: Json
      try {
        frame = JSON.parse(String(text))
      } catch {
        return remove(connection, 'no JSON')
      }
      if (typeof frame !== 'object' || !frame) return remove(connection, 'not in the described format')
      const { type, ackId, sequenceId } = frame
      if (type === 'ping') return write(socket, { type: 'pong' })
      if (type === 'sequenceAck') {
        connection.undelivered = connection.undelivered.filter(message => message.sequenceId > sequenceId)
        return
      }
      const outcome = carryOut(connection, frame)
      if (ackId !== undefined) write(socket, { type: 'ack', ackId, ...outcome })
      else if (!outcome.success) remove(connection, 'not in the described format')
    })
  })

  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      for (const { expiry } of connections.values()) clearTimeout(expiry)
      for (const socket of server.clients) socket.terminate()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
