package main

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

// configFile resolves flags from a JSON object whose keys are the names of
// flags, with hyphens or underscores. A variable of the environment wins over
// it, and the command line over both.
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

// Validate refuses keys that no command knows: a typing error would otherwise
// leave a default in force in silence.
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

// Resolve implements kong.Resolver.
func (c configFile) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return c.Resolver.Resolve(ctx, parent, flag)
}

// configOption makes --config work. Kong loads the file of a flag on the
// command line; one that the environment names is loaded here.
func configOption() (kong.Option, error) {
	path := os.Getenv(configVariable)
	if path == "" {
		return kong.Configuration(loadConfig), nil
	}
	// Kong would pass over a file that is not there.
	if _, err := os.Stat(path); err != nil {
		return nil, misuse("the configuration file that %s names cannot be read: %w", configVariable, err)
	}
	return kong.Configuration(loadConfig, path), nil
}
