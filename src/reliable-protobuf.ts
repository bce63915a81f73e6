export { protobuf } from './protobuf/format.js'
