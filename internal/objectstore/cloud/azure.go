package cloud

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/location"
)

// azureBucket is a container of Azure Blob Storage.
type azureBucket struct {
	container   *container.Client
	connections *http.Transport
}

// openAzure takes the account and the credentials from the variables that the Azure tools use:
// a connection string, the key of the account, a shared access signature, or else an identity.
func openAzure(at location.Remote) (*azureBucket, error) {
	b := &azureBucket{connections: newTransport(nil)}
	client := policy.ClientOptions{
		Transport: discreetClient{newClient(b.connections)},
		Retry:     policy.RetryOptions{MaxRetries: -1}, // none
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
	options := &container.ClientOptions{ClientOptions: client}
	var err error
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" && at.Option("account") == "" && at.Option("endpoint") == "" {
		if b.container, err = container.NewClientFromConnectionString(text, at.Bucket, options); err != nil {
			return nil, errors.New("AZURE_STORAGE_CONNECTION_STRING is not a connection string") // the error has the key
		}
		return b, nil
	}
	account := at.Option("account")
	if account == "" {
		account = os.Getenv("AZURE_STORAGE_ACCOUNT")
	}
	if account == "" {
		return nil, errors.New("the storage account is not known; add ?account=… to the URL, or set AZURE_STORAGE_ACCOUNT")
	}
	endpoint := at.Option("endpoint")
	if endpoint == "" {
		endpoint = fmt.Sprintf("https://%s.blob.core.windows.net", account)
	}
	b.container, err = openContainer(account, strings.TrimSuffix(endpoint, "/")+"/"+at.Bucket, options)
	return b, err
}

// discreetClient leaves the query out of its errors, because a shared access signature is a part
// of it.
type discreetClient struct{ *http.Client }

// Do implements policy.Transporter.
func (c discreetClient) Do(request *http.Request) (*http.Response, error) {
	response, err := c.Client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		failed.URL, _, _ = strings.Cut(failed.URL, "?")
	}
	return response, err
}

func openContainer(account, address string, options *container.ClientOptions) (*container.Client, error) {
	if key := os.Getenv("AZURE_STORAGE_KEY"); key != "" {
		credential, err := container.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, fmt.Errorf("%w: AZURE_STORAGE_KEY is not the key of an account", objectstore.ErrNoCredentials)
		}
		return container.NewClientWithSharedKeyCredential(address, credential, options)
	}
	if signature := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); signature != "" {
		return container.NewClientWithNoCredential(address+"?"+strings.TrimPrefix(signature, "?"), options)
	}
	identity, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{Telemetry: options.Telemetry}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", objectstore.ErrNoCredentials, err)
	}
	return container.NewClient(address, azureIdentity{identity}, options)
}

// azureIdentity classifies the errors of an identity, which have many types.
type azureIdentity struct{ azcore.TokenCredential }

// GetToken implements azcore.TokenCredential.
func (i azureIdentity) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := i.TokenCredential.GetToken(ctx, options)
	if err != nil && ctx.Err() == nil && causeOfConnection(err) == nil {
		err = fmt.Errorf("%w: %w", objectstore.ErrNoCredentials, err)
	}
	return token, err
}

func (b *azureBucket) put(ctx context.Context, key string, body *payload) error {
	sum := md5.New() //nolint:gosec // this is the hash that the server verifies, against accidents
	if _, err := io.Copy(sum, body); err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := b.container.NewBlockBlobClient(key).Upload(ctx, body, &blockblob.UploadOptions{
		TransactionalValidation: blob.TransferValidationTypeMD5(sum.Sum(nil)),
		AccessConditions:        &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}},
	})
	return err
}

func (b *azureBucket) get(ctx context.Context, key string, offset, length int64) (content, error) {
	var options blob.DownloadStreamOptions
	if length >= 0 {
		options.Range = blob.HTTPRange{Offset: offset, Count: length}
	}
	response, err := b.container.NewBlobClient(key).DownloadStream(ctx, &options)
	if err != nil {
		return content{}, err
	}
	found := content{body: response.Body, length: -1, total: -1}
	if response.ContentLength != nil {
		found.length = *response.ContentLength
	}
	if response.ContentRange != nil {
		found.total = totalSize(*response.ContentRange)
	}
	return found, nil
}

func (b *azureBucket) size(ctx context.Context, key string) (int64, error) {
	response, err := b.container.NewBlobClient(key).GetProperties(ctx, nil)
	if err != nil {
		return 0, err
	}
	if response.ContentLength == nil {
		return 0, errors.New("the server does not say how large the object is")
	}
	return *response.ContentLength, nil
}

func (b *azureBucket) list(ctx context.Context, prefix, token string) (page []objectstore.Listed, next string, err error) {
	options := &container.ListBlobsFlatOptions{Prefix: &prefix}
	if token != "" {
		options.Marker = &token
	}
	found, err := b.container.NewListBlobsFlatPager(options).NextPage(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, item := range found.Segment.BlobItems {
		if object, ok := listedBlob(item); ok {
			page = append(page, object)
		}
	}
	if found.NextMarker != nil {
		next = *found.NextMarker
	}
	return page, next, nil
}

// listedBlob returns what a list says about a blob.
func listedBlob(item *container.BlobItem) (objectstore.Listed, bool) {
	if item.Name == nil || item.Properties == nil || item.Properties.ContentLength == nil {
		return objectstore.Listed{}, false
	}
	return objectstore.Listed{Key: *item.Name, Size: *item.Properties.ContentLength}, true
}

func (b *azureBucket) remove(ctx context.Context, key string) error {
	_, err := b.container.NewBlobClient(key).Delete(ctx, nil)
	return err
}

// renew does nothing: keys come from the environment, which does not change, and identities
// renew their tokens.
func (*azureBucket) renew() {}

func (b *azureBucket) close() { b.connections.CloseIdleConnections() }
