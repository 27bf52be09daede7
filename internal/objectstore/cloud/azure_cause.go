package cloud

import (
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"laneway.dev/internal/objectstore"
)

// azureCauses has the causes of Azure's error codes. Codes that are not listed are classified
// by the status of the response.
var azureCauses = map[bloberror.Code]error{
	bloberror.BlobAlreadyExists:               objectstore.ErrExists,
	bloberror.ConditionNotMet:                 objectstore.ErrExists,
	bloberror.BlobNotFound:                    objectstore.ErrNotFound,
	bloberror.ContainerNotFound:               objectstore.ErrNoBucket,
	bloberror.ContainerDisabled:               objectstore.ErrNoBucket,
	bloberror.InvalidRange:                    errRange,
	bloberror.ServerBusy:                      objectstore.ErrThrottled,
	bloberror.MD5Mismatch:                     objectstore.ErrDigest,
	bloberror.InvalidMD5:                      objectstore.ErrDigest,
	bloberror.AuthorizationFailure:            objectstore.ErrDenied,
	bloberror.InsufficientAccountPermissions:  objectstore.ErrDenied,
	bloberror.AuthorizationPermissionMismatch: objectstore.ErrDenied,
	bloberror.InvalidAuthenticationInfo:       objectstore.ErrCredentials,
	bloberror.NoAuthenticationInformation:     objectstore.ErrCredentials,
}

func (*azureBucket) cause(err error) error {
	if errors.Is(err, objectstore.ErrCredentials) {
		return objectstore.ErrCredentials // there is no token
	}
	response, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return nil
	}
	code := bloberror.Code(response.ErrorCode)
	switch {
	case code == bloberror.AuthenticationFailed && strings.Contains(response.Error(), "Request date header"):
		return objectstore.ErrClock // "Request date header too old"
	case code == bloberror.AuthenticationFailed:
		return objectstore.ErrCredentials
	case azureCauses[code] != nil:
		return azureCauses[code]
	case response.StatusCode == http.StatusNotFound:
		return nil // perhaps not from a store at all
	}
	return causeOfStatus(response.StatusCode)
}
