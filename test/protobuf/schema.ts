// The schema of the frames, for protobufjs, which encodes and decodes them independently of this package.
import protobuf from 'protobufjs'

/** `additions`: the fields that this package adds, as PROTOCOL.md describes them. */
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-protobuf-reliable-webpubsub-subprotocol
const schema = (additions: boolean) => {
  const also = (text: string) => (additions ? text : '')
  return `
syntax = "proto3";

message Any {
  string type_url = 1;
  bytes value = 2;
}

message UpstreamMessage {
  oneof message {
    SendToGroupMessage send_to_group_message = 1;
    EventMessage event_message = 5;
    JoinGroupMessage join_group_message = 6;
    LeaveGroupMessage leave_group_message = 7;
    SequenceAckMessage sequence_ack_message = 8;
    PingMessage ping_message = 9;
    ${also('EndSessionMessage end_session_message = 1001;')}
  }
  message SendToGroupMessage {
    string group = 1;
    optional uint64 ack_id = 2;
    MessageData data = 3;
    optional bool no_echo = 4;
    ${also('optional string message_id = 1001;')}
  }
  message EventMessage {
    string event = 1;
    MessageData data = 2;
    optional uint64 ack_id = 3;
    ${also('optional string message_id = 1001;')}
  }
  message JoinGroupMessage {
    string group = 1;
    optional uint64 ack_id = 2;
  }
  message LeaveGroupMessage {
    string group = 1;
    optional uint64 ack_id = 2;
  }
  message SequenceAckMessage {
    uint64 sequence_id = 1;
  }
  message PingMessage {}
  message EndSessionMessage {}
}

message MessageData {
  oneof data {
    string text_data = 1;
    bytes binary_data = 2;
    Any protobuf_data = 3;
  }
  ${also('bool is_json = 1001;')}
}

message DownstreamMessage {
  oneof message {
    AckMessage ack_message = 1;
    DataMessage data_message = 2;
    SystemMessage system_message = 3;
    PongMessage pong_message = 4;
  }
  message AckMessage {
    uint64 ack_id = 1;
    bool success = 2;
    optional ErrorMessage error = 3;
    message ErrorMessage {
      string name = 1;
      string message = 2;
    }
  }
  message DataMessage {
    string from = 1;
    optional string group = 2;
    MessageData data = 3;
    uint64 sequence_id = 4;
    ${also('optional string from_user_id = 1001;')}
  }
  message SystemMessage {
    oneof message {
      ConnectedMessage connected_message = 1;
      DisconnectedMessage disconnected_message = 2;
      ${also('LimitedMessage limited_message = 1001;')}
      ${also('DrainingMessage draining_message = 1002;')}
    }
    message ConnectedMessage {
      string connection_id = 1;
      string user_id = 2;
      string reconnection_token = 3;
      ${also('optional uint64 sequence_id = 1001;')}
      ${also('repeated string features = 1002;')}
    }
    message DisconnectedMessage {
      string reason = 2;
    }
    message LimitedMessage {
      string message = 1;
    }
    message DrainingMessage {
      string message = 1;
    }
  }
  message PongMessage {}
}
`
}

export interface Witness {
  /** Encodes a message with the field names of the schema. */
  write(message: object): Uint8Array
  /** Decodes a message with the field names of the schema. Numbers are `number`s, and bytes are `Uint8Array`s. Absent fields are omitted. */
  read(bytes: Uint8Array): any
}

const witness = (root: protobuf.Root, name: string): Witness => {
  const type = root.lookupType(name)
  return {
    // For a `Buffer`, the fields with bytes would be Buffers.
    write: message => new Uint8Array(type.encode(type.fromObject(message)).finish()),
    read: bytes => type.toObject(type.decode(bytes), { longs: Number }),
  }
}

const witnesses = (additions: boolean) => {
  const { root } = protobuf.parse(schema(additions), { keepCase: true })
  return { upstream: witness(root, 'UpstreamMessage'), downstream: witness(root, 'DownstreamMessage') }
}

/** The codec of the schema that Microsoft has published. */
export const published = witnesses(false)

/** The codec of the schema with the additions of this package. */
export const extended = witnesses(true)
