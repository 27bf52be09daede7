package random

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// String returns the configuration in the form that ParseConfig reads: name=value
// for each field that is not zero, including the fields of the mix.
func (c Config) String() string {
	var parts []string
	c.fields(func(name string, v reflect.Value) {
		if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
			return
		}
		switch x := v.Interface().(type) {
		case []int:
			parts = append(parts, name+"="+strings.Trim(strings.ReplaceAll(fmt.Sprint(x), " ", "+"), "[]"))
		default:
			parts = append(parts, fmt.Sprintf("%s=%v", name, x))
		}
	})
	return strings.Join(parts, ",")
}

// ParseConfig reads the text of a configuration. What it does not name is zero.
func ParseConfig(text string) (Config, error) {
	var c Config
	values := map[string]string{}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		values[name] = value
	}
	var failed error
	c.fields(func(name string, v reflect.Value) {
		if value, is := values[name]; is {
			delete(values, name)
			if err := setField(v, value); err != nil {
				failed = cmp.Or(failed, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	for name := range values {
		failed = cmp.Or(failed, fmt.Errorf("a run has no %q", name))
	}
	return c, failed
}

// fields visits the fields of a configuration and of its mix, except the name of the
// mix, which does not affect a run.
func (c *Config) fields(visit func(name string, v reflect.Value)) {
	walkFields(reflect.ValueOf(c).Elem(), visit)
}

func walkFields(of reflect.Value, visit func(name string, v reflect.Value)) {
	for i := range of.NumField() {
		name, v := strings.ToLower(of.Type().Field(i).Name), of.Field(i)
		switch {
		case v.Kind() == reflect.Struct:
			walkFields(v, visit)
		case name != "name":
			visit(name, v)
		}
	}
}

func setField(v reflect.Value, text string) error {
	switch v.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		v.SetInt(int64(d))
		return err
	case []int:
		var all []int
		for _, part := range strings.Split(text, "+") {
			n, err := strconv.Atoi(part)
			if err != nil {
				return err
			}
			all = append(all, n)
		}
		v.Set(reflect.ValueOf(all))
		return nil
	}
	switch v.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return err
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		v.SetFloat(f)
		return err
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		v.SetUint(n)
		return err
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		v.SetInt(n)
		return err
	default:
		return fmt.Errorf("%s cannot be read", v.Type())
	}
}
