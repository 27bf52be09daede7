package cloud

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"laneway.dev/internal/objectstore"
)

// Location is where a store is, as a URL names it.
type Location struct {
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

// Schemes returns the schemes of the URLs that Parse accepts.
func Schemes() []string { return slices.Sorted(maps.Keys(options)) }

// Parse parses a URL such as s3://bucket/prefix?region=eu-central-1. Its errors do not repeat
// parts of the URL that may be secret.
func Parse(location string) (Location, error) {
	scheme, _, _ := strings.Cut(location, "://")
	l, err := parse(location)
	if err != nil {
		return Location{}, fmt.Errorf("object store at %s://…: %w", scheme, err)
	}
	return l, nil
}

func parse(location string) (Location, error) {
	u, err := url.Parse(location)
	if err != nil {
		return Location{}, errors.New("this is not a URL; percent-encode what is special in its parts")
	}
	known, ok := options[u.Scheme]
	if !ok {
		return Location{}, fmt.Errorf("the scheme is not one of %s", strings.Join(Schemes(), ", "))
	}
	l := Location{Scheme: u.Scheme, Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	switch {
	case u.User != nil:
		return Location{}, errors.New("a URL has no credentials; they come from the environment or the files of the provider's tools, see docs/stores.md")
	case l.Bucket == "" || strings.Contains(l.Bucket, ":"):
		return Location{}, fmt.Errorf("the URL names no bucket; use %s://bucket/prefix", u.Scheme)
	case u.Fragment != "":
		return Location{}, errors.New("the URL has a fragment; percent-encode # as %23")
	case l.Prefix != "" && objectstore.CheckKey(l.Prefix) != nil:
		return Location{}, fmt.Errorf("the prefix %q is not a clean path", l.Prefix)
	}
	l.options, err = parseOptions(u.RawQuery, known)
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

// String returns the URL. It has no secrets.
func (l Location) String() string {
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
