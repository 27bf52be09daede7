package storeid

import "fmt"

// situation is what a role has found out about its cluster and its store.
type situation struct {
	record *record // nil: the cluster has none
	marker *marker // nil: the store has none
	logs   bool    // logs exist; only looked at without a record
	empty  bool    // the store has no objects; only looked at without record and marker

	place string // of the store
	adopt bool
	fresh string // an id that nothing else has
}

// decision is the next step. The zero decision means that the store is the cluster's.
type decision struct {
	refused *RefusedError
	// mark is the marker to write to the store, unless it has it. It MUST be durable before
	// the record names it.
	mark *marker
	// write replaces the record by compare-and-set.
	write *record
}

func (d *decision) done() bool { return *d == decision{} }

// decide returns the next step. It is called again after every step, with the situation at
// that time, because a role may crash between two steps and other roles may take steps as
// well. The rules:
//
//   - The record is written before the marker. So a marker that a crash leaves is recognized
//     as one of this cluster.
//   - Once the record names a marker, it never names another one.
//   - A role is done only when the record names the marker of its own store.
//
// Example, a first start: the bucket is empty. The role writes a record with cluster c1 and no
// store, then a marker with cluster c1 and store s1, then a record with cluster c1 and store
// s1. If a second role with another store does the same, it also writes a marker, with store
// s2. Only one of the two can add its store to the record; the other one is refused.
func decide(s situation) decision {
	switch {
	case s.record != nil && s.record.Store != "":
		return compare(s)
	case s.marker != nil && (s.adopt || s.record != nil && s.marker.Cluster == s.record.Cluster):
		return decision{mark: s.marker, write: &record{Cluster: s.marker.Cluster, Store: s.marker.Store, Place: s.place}}
	case s.marker != nil && s.record == nil && s.logs:
		return decision{refused: refuse(
			"restore the bucket from a copy; or, if the logs refer to objects in this store, start one role once with --adopt-store",
			"it is unknown whether the object store %s belongs to this Laneway: logs exist, but bucket %s, which names the store, was lost", s.place, bucket)}
	case s.marker != nil:
		return decision{refused: refuse(
			"give this Laneway a store of its own; or, if it is to take this one over because its own metadata was lost, start one role once with --adopt-store",
			"the object store %s belongs to another Laneway, or the metadata of this one was lost: it has a marker, and bucket %s names no store", s.place, bucket)}
	case s.record != nil:
		return decision{mark: &marker{Cluster: s.record.Cluster, Store: s.fresh}}
	case !s.logs && s.empty && s.adopt:
		return decision{refused: refuse(
			"look for a wrong path or a volume that is not mounted; if a new and empty store is meant, start without --adopt-store",
			"there is nothing to adopt: the object store %s is empty", s.place)}
	case s.logs && s.empty && !s.adopt:
		return decision{refused: refuse(
			"give the store with the objects of these logs, or restore the bucket from a copy. If it is this store and its marker was lost, write the marker again as docs/stores.md says, and start one role once with --adopt-store. Without the marker, --adopt-store starts a new store here, and the objects of these logs cannot be read",
			"it is unknown whether the object store %s is that of this Laneway: logs exist, but the store has no marker, and bucket %s names no store", s.place, bucket)}
	}
	return decision{write: &record{Cluster: s.fresh, Place: s.place}}
}

// compare compares a store with that of the cluster.
func compare(s situation) decision {
	r, m := s.record, s.marker
	same := "give the store of this Laneway: it was " + r.Place + " when it was first used"
	switch {
	case m == nil:
		return decision{refused: refuse(
			fmt.Sprintf("look for a wrong path or prefix, a volume that was forgotten or is not mounted, or a folder of another host: the store was %s when it was first used. If it is the right one and only its marker was lost, write %s into it again as the file %s",
				r.Place, marker{r.Cluster, r.Store}.text(), markerName),
			"the object store %s is not that of this Laneway: it has no marker", s.place)}
	case m.Cluster != r.Cluster:
		return decision{refused: refuse(same,
			"the object store %s belongs to another Laneway: its marker names cluster %s, this one is %s", s.place, m.Cluster, r.Cluster)}
	case m.Store != r.Store:
		return decision{refused: refuse(same,
			"the object store %s is not that of this Laneway: another role was faster to mark %s", s.place, r.Place)}
	}
	return decision{}
}
