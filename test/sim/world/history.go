package world

import (
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/fetch"
	"laneway.dev/test/sim/check"
)

// Content returns the frame of an extent in a segment. It returns false if the extent is in no
// segment.
func (a *Archive) Content(x messages.Extent) (frame []byte, is bool, err error) {
	if a == nil {
		return nil, false, nil
	}
	object, is := a.objects[x.Key]
	if !is {
		return nil, false, nil
	}
	frame, err = check.Frame(object, x)
	return frame, true, err
}

// corrupt is the answer to a question about a history of which something is wrong.
func corrupt(h messages.History, err error) fetch.Event {
	next := h.End
	next.Sequence++
	return fetch.Failed{Err: protocol.NewError(protocol.CodeCorrupt, err.Error()), Next: next}
}

// entries answers a Read of the history with at most limit entries.
func (a *Archive) entries(q fetch.Read, limit int) fetch.Event {
	m, err := a.manifest(q.History.Manifest)
	if err != nil {
		return corrupt(q.History, err)
	}
	place, _ := m.Locate(q.From)
	s := place.Summary
	if place.List {
		list, err := a.list(s.Key)
		if err != nil {
			return corrupt(q.History, err)
		}
		s, _ = list.Locate(q.From)
	}
	f, err := a.footer(s.Key)
	if err != nil {
		return corrupt(q.History, err)
	}
	page := f.PageOf(q.From)
	p := f.Pages[page]
	all, err := f.ParsePage(page, a.Get(s.Key)[p.Position:p.Position+p.Length])
	if err != nil {
		return corrupt(q.History, err)
	}
	if q.From > p.First {
		all = all[q.From-p.First:]
	}
	return fetch.Entries{Entries: all[:min(len(all), limit)]}
}

// Narrow answers a question about the index of the history.
func (a *Archive) Narrow(q fetch.Narrow) fetch.Event {
	m, err := a.manifest(q.History.Manifest)
	if err != nil {
		return corrupt(q.History, err)
	}
	n := fetch.Narrowed{First: first(m), Low: q.Low, Above: q.Above}
	if n.Low = min(max(n.Low, n.First), n.Above); n.Low == n.Above {
		return n
	}
	if q.Time != nil {
		err = a.narrowTime(m, &n, q.Time.UnixNano())
	} else {
		err = a.narrowOffset(m, &n, q.Offset)
	}
	if err != nil {
		return corrupt(q.History, err)
	}
	return n
}

// first returns the first entry of a history; the one after it if it has none.
func first(m *manifest.Manifest) uint64 {
	if place, ok := m.Locate(0); ok {
		return place.First
	}
	return m.End.Sequence + 1
}

func (a *Archive) narrowOffset(m *manifest.Manifest, n *fetch.Narrowed, offset int64) error {
	place, ok := m.LocateOffset(offset)
	if !ok {
		return nil
	}
	s := place.Summary
	if place.List {
		list, err := a.list(s.Key)
		if err != nil {
			return err
		}
		s, _ = list.LocateOffset(offset)
	}
	f, err := a.footer(s.Key)
	if err != nil {
		return err
	}
	page := f.PageAt(offset)
	n.Low = max(n.Low, f.Pages[page].First)
	if page+1 < len(f.Pages) {
		n.Above = min(n.Above, f.Pages[page+1].First)
	} else {
		n.Above = min(n.Above, f.Last+1)
	}
	return nil
}

func (a *Archive) narrowTime(m *manifest.Manifest, n *fetch.Narrowed, t int64) error {
	n.Low, n.Above = m.NarrowTime(n.Low, n.Above, t)
	place, ok := m.Locate(n.Low)
	s := place.Summary
	if ok && place.List {
		list, err := a.list(s.Key)
		if err != nil {
			return err
		}
		n.Low, n.Above = list.NarrowTime(n.Low, n.Above, t)
		s, ok = list.Locate(n.Low)
	}
	if !ok || n.Low == n.Above {
		return nil
	}
	f, err := a.footer(s.Key)
	if err != nil {
		return err
	}
	n.Low, n.Above = f.NarrowTime(n.Low, n.Above, t)
	return nil
}

func (a *Archive) manifest(key string) (*manifest.Manifest, error) {
	return decoded(a, a.manifests, key, manifest.Decode)
}

func (a *Archive) list(key string) (*manifest.List, error) {
	return decoded(a, a.lists, key, manifest.DecodeList)
}

func (a *Archive) footer(key string) (*segment.Footer, error) {
	return decoded(a, a.footers, key, func(key string, object []byte) (*segment.Footer, error) {
		f, _, err := segment.ParseTail(key, object, int64(len(object)))
		return f, err
	})
}

// decoded decodes an object once, and returns it as long as it is there.
func decoded[T any](a *Archive, known map[string]*T, key string, decode func(string, []byte) (*T, error)) (*T, error) {
	object := a.Get(key)
	if v, is := known[key]; is && object != nil {
		return v, nil
	}
	v, err := decode(key, object)
	if err == nil {
		known[key] = v
	}
	return v, err
}
