package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/stores"
)

// StoreUse is what a measurement did with the object store.
type StoreUse struct {
	Puts  int64 `json:"puts"`
	Reads int64 `json:"reads"`
	Bytes int64 `json:"bytes"` // of the objects stored, segments included
}

// storeUse adds up what the processes of a Laneway have done with the object store since they
// were started.
func (s *servers) storeUse(ctx context.Context) (StoreUse, error) {
	var use StoreUse
	for _, address := range s.pages {
		err := eachMetric(ctx, "http://"+address+"/metrics", func(name, labels string, value float64) {
			switch {
			case name == "laneway_stager_bytes_total", name == "laneway_archiver_bytes_total":
				use.Bytes += int64(value)
			case strings.HasSuffix(name, "_store_requests_total") && strings.Contains(labels, `operation="put"`):
				use.Puts += int64(value)
			case strings.HasSuffix(name, "_store_requests_total"):
				use.Reads += int64(value)
			}
		})
		if err != nil {
			return StoreUse{}, fmt.Errorf("read the metrics of %s: %w", address, err)
		}
	}
	return use, nil
}

// eachMetric calls do for each sample of a page in the text format of Prometheus.
func eachMetric(ctx context.Context, url string, do func(name, labels string, value float64)) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return parseMetrics(response.Body, do)
}

func parseMetrics(page io.Reader, do func(name, labels string, value float64)) error {
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		line := lines.Text()
		end := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || end < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			return fmt.Errorf("%q is no sample: %w", line, err)
		}
		name, labels, _ := strings.Cut(line[:end], "{")
		do(name, labels, value)
	}
	return lines.Err()
}

// below returns the location of a store below another one.
func below(store, name string) string {
	location, options, given := strings.Cut(store, "?")
	location = strings.TrimSuffix(location, "/") + "/" + name
	if given {
		location += "?" + options
	}
	return location
}

// emptyTimeout bounds the removal of the objects of a measurement.
const emptyTimeout = 5 * time.Minute

// emptyStore removes the objects of the cluster that has marked a store. Only the marker stays.
func emptyStore(location string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), emptyTimeout)
	defer cancel()
	store, err := stores.Open(ctx, location, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if _, err := store.Marker(ctx); errors.Is(err, objectstore.ErrNotFound) {
		return nil // no server has come so far as to store anything
	}
	_, cluster, err := storeid.Identity(ctx, storeid.Candidate{Store: store, Place: location})
	if err != nil {
		return fmt.Errorf("remove the objects of the measurement: %w", err)
	}
	objects := store.Below(cluster)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for o, err := range objects.List(ctx, "") {
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error { return objects.Delete(ctx, o.Key) })
	}
	return group.Wait()
}
