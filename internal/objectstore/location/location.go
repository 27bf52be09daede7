// Package location parses the locations of object stores: a path, or a URL. It opens nothing,
// and so depends on the SDK of no cloud.
package location

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"laneway.dev/internal/objectstore"
)

// Remote is where a store is that is reached over a network, as a URL names it.
type Remote struct {
	Scheme string
	Bucket string
	Prefix string // of all keys, without a slash at its ends; may be empty

	options map[string]string
}

// options lists the options of each kind of store.
var options = map[string][]string{
	"azblob": {"account", "endpoint"},
	"gs":     {"endpoint"},
	"s3":     {"endpoint", "profile", "region"},
}

// URL returns the full URL of the store at a location, without secrets. The error is the one
// that opening the store would return for this location. URL accesses neither files nor a network.
func URL(location string) (string, error) {
	if IsLocal(location) {
		return objectstore.URL(location)
	}
	remote, err := ParseRemote(location)
	return remote.String(), err
}

// IsLocal reports whether a location is that of a folder, and not that of a store which is
// reached over a network.
func IsLocal(location string) bool {
	scheme, _, isURL := strings.Cut(location, "://")
	return !isURL || scheme == "file"
}

// schemes returns the schemes of the URLs that ParseRemote accepts.
func schemes() []string { return slices.Sorted(maps.Keys(options)) }

// ParseRemote parses a URL such as s3://bucket/prefix?region=eu-central-1. Its errors do not
// repeat parts of the URL that may be secret.
func ParseRemote(location string) (Remote, error) {
	scheme, _, _ := strings.Cut(location, "://")
	if !slices.Contains(schemes(), scheme) {
		return Remote{}, fmt.Errorf("there is no object store with the scheme %q; use a path, file:///absolute/path, or a URL that begins with %s://",
			scheme, strings.Join(schemes(), ":// or "))
	}
	l, err := parse(location)
	if err != nil {
		return Remote{}, fmt.Errorf("object store at %s://…: %w", scheme, err)
	}
	return l, nil
}

func parse(location string) (Remote, error) {
	u, err := url.Parse(location)
	if err != nil {
		return Remote{}, errors.New("this is not a URL; percent-encode what is special in its parts")
	}
	l := Remote{Scheme: u.Scheme, Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	switch {
	case u.User != nil:
		return Remote{}, errors.New("a URL has no credentials; they come from the environment or the files of the provider's tools, see docs/stores.md")
	case l.Bucket == "" || strings.Contains(l.Bucket, ":"):
		return Remote{}, fmt.Errorf("the URL names no bucket; use %s://bucket/prefix", u.Scheme)
	case u.Fragment != "":
		return Remote{}, errors.New("the URL has a fragment; percent-encode # as %23")
	case l.Prefix != "" && objectstore.CheckKey(l.Prefix) != nil:
		return Remote{}, fmt.Errorf("the prefix %q is not a clean path", l.Prefix)
	}
	l.options, err = parseOptions(u.RawQuery, options[u.Scheme])
	return l, err
}

func parseOptions(query string, known []string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the options behind the ? cannot be parsed")
	}
	given := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no option %q; the options are %s", name, strings.Join(known, ", "))
		}
		if len(values[name]) != 1 || values.Get(name) == "" {
			return nil, fmt.Errorf("option %s needs one value", name)
		}
		given[name] = values.Get(name)
	}
	if endpoint, ok := given["endpoint"]; ok {
		return given, checkEndpoint(endpoint)
	}
	return given, nil
}

// checkEndpoint checks the address of a server.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("the endpoint is not a URL such as http://127.0.0.1:7070")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the endpoint has credentials or options; it is only the address of a server, such as https://store.example:9000")
	}
	return nil
}

// Option returns the value of an option, or "" if the URL does not have it.
func (l Remote) Option(name string) string { return l.options[name] }

// String returns the URL. It has no secrets.
func (l Remote) String() string {
	query := make(url.Values, len(l.options))
	for name, value := range l.options {
		query.Set(name, value)
	}
	u := url.URL{Scheme: l.Scheme, Host: l.Bucket, RawQuery: strings.ReplaceAll(query.Encode(), "%2F", "/")}
	if l.Prefix != "" {
		u.Path = "/" + l.Prefix
	}
	u.RawQuery = strings.ReplaceAll(u.RawQuery, "%3A", ":") // legal in a query, and readable
	return u.String()
}
