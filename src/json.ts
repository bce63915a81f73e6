export { json } from './json/json.js'
export type { Issue, Schema } from './json/schema.js'
export type {
  Codec,
  Encodable,
  InvalidData,
  InvalidText,
  Json,
  JsonEvents,
} from './json/types.js'
