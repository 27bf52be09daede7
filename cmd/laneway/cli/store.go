package cli

import (
	"errors"
	"fmt"

	"laneway.dev/internal/selftest"
	"laneway.dev/internal/storeid"
)

// ExplainStore adds the cause and advice to the error of a store that cannot be read at all. Other
// errors stay as they are.
func ExplainStore(location StoreLocation, err error) error {
	sentence, advice := selftest.Cause(location.Scheme(), selftest.Read, err)
	if _, refused := errors.AsType[*storeid.RefusedError](err); err == nil || refused || advice == "" {
		return err
	}
	return Advise(fmt.Errorf("the object store cannot be used: %s", sentence), advice)
}
