package location

import (
	"strings"
	"testing"
)

func TestLocationsAreParsed(t *testing.T) {
	for url, want := range map[string]string{
		"s3://bucket":                       "s3://bucket",
		"s3://bucket/":                      "s3://bucket",
		"s3://bucket/some/prefix/":          "s3://bucket/some/prefix",
		"s3://bucket/p?region=eu-central-1": "s3://bucket/p?region=eu-central-1",
		"s3://b?profile=p&endpoint=http%3A%2F%2F127.0.0.1%3A7070": "s3://b?endpoint=http://127.0.0.1:7070&profile=p",
		"gs://bucket/p":                            "gs://bucket/p",
		"azblob://container/p?account=a":           "azblob://container/p?account=a",
		"s3://b?endpoint=https://store.example/s3": "s3://b?endpoint=https://store.example/s3",
	} {
		l, err := ParseRemote(url)
		if err != nil || l.String() != want {
			t.Errorf("%s is parsed as %q (%v), want %q", url, l, err, want)
		}
		if again, err := ParseRemote(l.String()); err != nil || again.String() != want {
			t.Errorf("%s is parsed as %q (%v)", l, again, err)
		}
	}
}

func TestLocationsWithMistakesAreRejected(t *testing.T) {
	for url, want := range map[string]string{
		"ftp://bucket":                           "no object store with the scheme",
		"s3://":                                  "names no bucket",
		"s3:///prefix":                           "names no bucket",
		"s3://bucket:80/prefix":                  "names no bucket",
		"s3://user:secret@bucket":                "no credentials",
		"s3://bucket/%zz?secret":                 "not a URL",
		"s3://bucket/a/../b":                     "not a clean path",
		"s3://bucket/a//b":                       "not a clean path",
		"s3://bucket#secret":                     "fragment",
		"s3://bucket?acces_key=secret":           "the options are endpoint, profile, region",
		"s3://bucket?region=":                    "needs one value",
		"s3://bucket?region=a&region=b":          "needs one value",
		"s3://bucket?region=%zz":                 "cannot be parsed",
		"s3://bucket?endpoint=localhost:7070":    "not a URL such as",
		"s3://bucket?endpoint=ftp://x":           "not a URL such as",
		"s3://bucket?endpoint=http://u:secret@h": "has credentials",
	} {
		_, err := ParseRemote(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want it to say %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error gives a secret away: %v", url, err)
		}
	}
}

func TestUnknownSchemesAreRejectedWithoutTheirSecrets(t *testing.T) {
	for _, location := range []string{"mem://", "s4://user:secret@bucket", "s3://user:secret@bucket", "http://host/?key=secret"} {
		url, err := URL(location)
		if err == nil || strings.Contains(url+err.Error(), "secret") {
			t.Errorf("%s: URL %q and error %v", location, url, err)
		}
	}
}
