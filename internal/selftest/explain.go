package selftest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"laneway.dev/internal/objectstore"
)

// Cause returns a sentence that says why a step has failed, and advice for the operator. scheme
// is that of the store's URL. The sentence includes what the store or the network said, because
// that often names the cause.
func Cause(scheme string, step Step, err error) (sentence, advice string) {
	for _, c := range causes {
		if errors.Is(err, c.of) {
			sentence, advice = c.sentence, c.advice
			break
		}
	}
	if region, ok := errors.AsType[*objectstore.RegionError](err); ok {
		sentence, advice = region.Error(), fmt.Sprintf("name it in the URL: region=%s", region.Region)
	}
	switch {
	case errors.Is(err, objectstore.ErrDenied):
		sentence = fmt.Sprintf("the credentials do not allow %s", gerund[step])
		if right := rights[scheme][step]; right != "" {
			sentence = fmt.Sprintf("the credentials do not allow %s: the right %s is missing", gerund[step], right)
		}
	case sentence == "":
		return fmt.Sprintf("%s failed: %v", step, err), ""
	}
	return fmt.Sprintf("%s (%s)", sentence, said(err)), advice
}

// mostSaid bounds the bytes that a message quotes from a server. A server that is not an object
// store may send anything.
const mostSaid = 300

// said returns what a store or the network said, without what the SDKs and this program have
// added around it.
func said(err error) string {
	text := innermost(err)
	if len(text) > mostSaid {
		text = strings.ToValidUTF8(text[:mostSaid], "") + "…"
	}
	return text
}

// innermost returns the text of the last error that was wrapped.
func innermost(err error) string {
	if request, ok := errors.AsType[*url.Error](err); ok {
		if target, invalid := url.Parse(request.URL); invalid == nil {
			return target.Host + ": " + request.Err.Error()
		}
	}
	for {
		switch wrapping := err.(type) { //nolint:errorlint // it unwraps
		case interface{ Unwrap() error }:
			inner := wrapping.Unwrap()
			if inner == nil {
				return err.Error()
			}
			err = inner
		case interface{ Unwrap() []error }:
			all := wrapping.Unwrap()
			if len(all) == 0 {
				return err.Error()
			}
			err = all[len(all)-1]
		default:
			return err.Error()
		}
	}
}

type cause struct {
	of               error
	sentence, advice string
}

// causes are in the order in which they are looked for, the most specific first.
var causes = []cause{
	{objectstore.ErrClock, "the clock of this machine differs too much from that of the store", "set the clock, for example with NTP"},
	{objectstore.ErrNotTLS, "the server does not use TLS", "write http:// instead of https:// in the endpoint"},
	{
		objectstore.ErrTLS, "no trusted connection can be made",
		"check the endpoint; if its certificate is from a private authority, add the certificate of that authority to those of the system, or name its file in SSL_CERT_FILE",
	},
	{objectstore.ErrNoBucket, "the bucket or container does not exist", "create it, or correct its name in the URL"},
	{objectstore.ErrRegion, "the bucket is in another region", "name its region in the URL, as in s3://bucket/prefix?region=eu-central-1"},
	{objectstore.ErrNoStore, "the answer does not come from an object store", "correct the endpoint in the URL, or check whether a proxy answers instead of the store"},
	{objectstore.ErrNoCredentials, "no valid credentials were found", "see docs/stores.md for where Laneway looks for credentials"},
	{objectstore.ErrExpired, "the credentials have expired", "renew them; see docs/stores.md for where Laneway looks for credentials"},
	{
		objectstore.ErrCredentials, "the store does not accept the credentials",
		"check that the key belongs to this store and is still valid; see docs/stores.md for where Laneway looks for credentials",
	},
	{objectstore.ErrDenied, "the credentials do not allow the request", "add the right to the policy of these credentials; docs/stores.md lists the minimal rights"},
	{objectstore.ErrThrottled, "the store asks for fewer requests", "wait, or raise the request limit of the store"},
	{objectstore.ErrUnreachable, "the store does not answer", "check the endpoint in the URL, including http or https, and whether this machine can reach it"},
	{objectstore.ErrDigest, "bytes were altered in transit to the store", "look for a faulty proxy or network"},
	{objectstore.ErrFull, "the store is full", "free space in the store"},
}

// gerund says what a step does.
var gerund = map[Step]string{
	Put: "putting objects", Altered: "putting objects", Again: "putting objects", Read: "reading objects", List: "listing objects",
	Delete: "deleting objects",
}

// rights are the rights of each kind of store, by step. The names are those of AWS IAM, Google
// Cloud IAM and Azure RBAC.
var rights = map[string]map[Step]string{
	"s3": {
		Put: "s3:PutObject", Altered: "s3:PutObject", Again: "s3:PutObject", Read: "s3:GetObject",
		List: "s3:ListBucket (on the bucket itself)", Delete: "s3:DeleteObject",
	},
	"gs": {
		Put: "storage.objects.create", Altered: "storage.objects.create", Again: "storage.objects.create",
		Read: "storage.objects.get", List: "storage.objects.list", Delete: "storage.objects.delete",
	},
	"azblob": {
		Put: "blobs/write", Altered: "blobs/write", Again: "blobs/write", Read: "blobs/read", List: "blobs/read (on the container)",
		Delete: "blobs/delete",
	},
}
