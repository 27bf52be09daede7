// Package cloud has the object stores that are reached over HTTP: S3 and servers that are
// compatible with it, Google Cloud Storage, and Azure Blob Storage.
//
// All of them are a Store over a bucket. The bucket translates one call into one request of
// the provider's SDK. The Store owns what all have in common: the keys, the checks of what was
// read, the errors, and when a request is repeated. SDKs repeat nothing by themselves, so that
// every store behaves the same.
//
//   - A Put is one request, and is never repeated after an error, unless the store has
//     certainly not accepted it. The caller repeats it with another key. So a put that takes
//     effect late cannot collide with its own repetition.
//   - Every put is conditional: it fails if the key is in use. A server may ignore the
//     condition, which is why keys lie below the id of the cluster.
//   - Every put carries a hash of the payload, which the server compares with what it has
//     received.
//
// Only cmd/laneway and tests import this package, by internal/stores, so that users of
// pkg/client do not depend on the SDKs.
package cloud
