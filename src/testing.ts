export { createFakeServer } from './testing/fake-server.js'
export {
  type Recordable,
  type RecordedEvent,
  type Recording,
  record,
} from './testing/record.js'
export type {
  CloseFrame,
  Direction,
  FakeMessage,
  FakePeer,
  FakeServer,
  FakeServerOptions,
} from './testing/types.js'
