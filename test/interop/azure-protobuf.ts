// The subprotocol protobuf.reliable.webpubsub.azure.v1 for Azure's client, with the schema that Microsoft has published, encoded by protobufjs:
// the package with Azure's own encoder is not in the registry.
import type { WebPubSubClientProtocol, WebPubSubMessage } from '@azure/web-pubsub-client'
import { published } from '../protobuf/schema.ts'

const dataOf = (data: unknown, dataType: string) => {
  if (dataType === 'binary') return { binary_data: new Uint8Array(data as ArrayBuffer) }
  // https://learn.microsoft.com/azure/azure-web-pubsub/reference-protobuf-reliable-webpubsub-subprotocol#message-response
  return { text_data: dataType === 'json' ? JSON.stringify(data) : (data as string) }
}

const read = ({ text_data, binary_data }: any) =>
  binary_data
    ? { dataType: 'binary', data: new Uint8Array(binary_data).buffer }
    : { dataType: 'text', data: text_data }

const requestOf = (message: any): object => {
  const { kind, group, event, ackId: ack_id, data, dataType, noEcho: no_echo, sequenceId } = message
  const optional = { ...(ack_id !== undefined && { ack_id }), ...(no_echo !== undefined && { no_echo }) }
  switch (kind) {
    case 'joinGroup':
      return { join_group_message: { group, ...optional } }
    case 'leaveGroup':
      return { leave_group_message: { group, ...optional } }
    case 'sendEvent':
      return { event_message: { event, data: dataOf(data, dataType), ...optional } }
    case 'sendToGroup':
      return { send_to_group_message: { group, data: dataOf(data, dataType), ...optional } }
    case 'sequenceAck':
      return { sequence_ack_message: { sequence_id: sequenceId } }
    case 'ping':
      return { ping_message: {} }
    default:
      throw new Error(`there is no ${kind}`)
  }
}

const messageOf = ({ ack_message, data_message, system_message, pong_message }: any): object | null => {
  if (pong_message) return { kind: 'pong' }
  if (ack_message) {
    const { ack_id: ackId = 0, success = false, error } = ack_message
    return { kind: 'ack', ackId, success, error }
  }
  if (data_message) {
    const { from, group, sequence_id: sequenceId, data } = data_message
    return { kind: from === 'group' ? 'groupData' : 'serverData', group, sequenceId, ...read(data) }
  }
  const { connected_message, disconnected_message } = system_message ?? {}
  if (disconnected_message) return { kind: 'disconnected', message: disconnected_message.reason }
  if (!connected_message) return null
  const {
    connection_id: connectionId,
    user_id: userId,
    reconnection_token: reconnectionToken,
  } = connected_message
  return { kind: 'connected', connectionId, userId, reconnectionToken }
}

export const azureProtobuf = (): WebPubSubClientProtocol => ({
  name: 'protobuf.reliable.webpubsub.azure.v1',
  isReliableSubProtocol: true,
  parseMessages: input =>
    messageOf(published.downstream.read(new Uint8Array(input as ArrayBuffer))) as WebPubSubMessage | null,
  writeMessage: message => published.upstream.write(requestOf(message)).buffer as ArrayBuffer,
})
