package cloud

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"io"
	"net/http"

	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/location"
)

// gsBucket is a bucket of Google Cloud Storage, over its JSON API.
type gsBucket struct {
	name        string
	service     *storage.Service
	tokens      *gsTokens // nil: requests are anonymous
	connections *http.Transport
}

// openGS finds credentials as the Google tools do. A server of one's own, named by the option
// endpoint, gets none.
func openGS(ctx context.Context, at location.Remote) (*gsBucket, error) {
	b := &gsBucket{name: at.Bucket, connections: newTransport(nil)}
	client := newClient(b.connections)
	options := []option.ClientOption{option.WithHTTPClient(client)}
	if endpoint := at.Option("endpoint"); endpoint != "" {
		options = append(options, option.WithEndpoint(endpoint+"/storage/v1/"))
	} else {
		b.tokens = newGSTokens(b.connections)
		client.Transport = b.tokens
	}
	var err error
	b.service, err = storage.NewService(ctx, options...)
	return b, err
}

func (b *gsBucket) put(ctx context.Context, key string, body *payload) error {
	sum := md5.New() //nolint:gosec // this is the hash that the server verifies, against accidents
	if _, err := io.Copy(sum, body); err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	object := &storage.Object{
		Name: key, ContentType: "application/octet-stream", Md5Hash: base64.StdEncoding.EncodeToString(sum.Sum(nil)),
	}
	// Without chunks the object is sent in the only request, and is not buffered.
	_, err := b.service.Objects.Insert(b.name, object).
		IfGenerationMatch(0). // there is no such object
		Media(body, googleapi.ChunkSize(0), googleapi.ContentType(object.ContentType)).
		WithRetry(nil, func(error) bool { return false }).
		Fields("name").Context(ctx).Do()
	return err
}

func (b *gsBucket) get(ctx context.Context, key string, offset, length int64) (content, error) {
	call := b.service.Objects.Get(b.name, key).Context(ctx)
	if length >= 0 {
		call.Header().Set("Range", byteRange(offset, length))
	}
	response, err := call.Download()
	if err != nil {
		return content{}, err
	}
	return content{
		body: response.Body, length: response.ContentLength, total: totalSize(response.Header.Get("Content-Range")),
	}, nil
}

func (b *gsBucket) size(ctx context.Context, key string) (int64, error) {
	object, err := b.service.Objects.Get(b.name, key).Fields("size").Context(ctx).Do()
	if err != nil {
		return 0, err
	}
	return int64(object.Size), nil
}

func (b *gsBucket) list(ctx context.Context, prefix, token string) (page []objectstore.Listed, next string, err error) {
	found, err := b.service.Objects.List(b.name).Prefix(prefix).PageToken(token).
		Fields("nextPageToken", "items(name,size)").Context(ctx).Do()
	if err != nil {
		return nil, "", err
	}
	for _, object := range found.Items {
		page = append(page, objectstore.Listed{Key: object.Name, Size: int64(object.Size)})
	}
	return page, found.NextPageToken, nil
}

func (b *gsBucket) remove(ctx context.Context, key string) error {
	return b.service.Objects.Delete(b.name, key).Context(ctx).Do()
}

func (b *gsBucket) renew() {
	if b.tokens != nil {
		b.tokens.forget()
	}
}

func (b *gsBucket) close() { b.connections.CloseIdleConnections() }
