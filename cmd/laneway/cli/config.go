package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	envPrefix      = "LANEWAY"
	configVariable = envPrefix + "_CONFIG"
)

// configFile sets flags from a JSON object whose keys are the names of flags,
// with hyphens or underscores. A variable of the environment has precedence over
// the file, and the command line over both.
type configFile struct {
	kong.Resolver
	keys []string
}

// loadConfig implements kong.ConfigurationLoader.
func loadConfig(r io.Reader) (kong.Resolver, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return nil, fmt.Errorf("the configuration file is not a JSON object: %w", err)
	}
	normal := make(map[string]json.RawMessage, len(values))
	file := configFile{}
	for key, value := range values {
		file.keys = append(file.keys, key)
		normal[strings.ReplaceAll(key, "-", "_")] = value
	}
	if data, err = json.Marshal(normal); err != nil {
		return nil, err
	}
	file.Resolver, err = kong.JSON(bytes.NewReader(data))
	return file, err
}

// Validate rejects keys that are no flag of any command. Without this check a
// typing error would silently leave the default in place.
func (c configFile) Validate(application *kong.Application) error {
	var known []string
	err := kong.Visit(application, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known = append(known, strings.ReplaceAll(flag.Name, "-", "_"))
		}
		return next(nil)
	})
	for _, key := range c.keys {
		if !slices.Contains(known, strings.ReplaceAll(key, "-", "_")) {
			return fmt.Errorf("the configuration file sets %q, which is no flag of any command", key)
		}
	}
	return err
}

// Resolve implements kong.Resolver. Kong would prefer the file to a variable.
func (c configFile) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return c.Resolver.Resolve(ctx, parent, flag)
}

// configOption returns the option that loads the configuration file. Kong itself
// loads a file that --config names on the command line; a file that the variable
// names is loaded here.
func configOption() (kong.Option, error) {
	path := os.Getenv(configVariable)
	if path == "" {
		return kong.Configuration(loadConfig), nil
	}
	// Kong ignores a file that does not exist.
	if _, err := os.Stat(path); err != nil {
		return nil, Misuse("the configuration file that %s names cannot be read: %w", configVariable, err)
	}
	return kong.Configuration(loadConfig, path), nil
}
