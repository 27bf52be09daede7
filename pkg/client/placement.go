package client

// anyTarget is the place of a record that may go to any partition.
const anyTarget = -1

// place returns the index of the target that a key's records go to.
func (p *Producer) place(key string) int {
	switch {
	case len(p.targets) == 1:
		return 0
	case key == "":
		return anyTarget
	}
	return placeOf(key, len(p.targets))
}

// placeOf returns the partition of a key as the subject mapping of NATS does by
// partition(): FNV-1a of 32 bits, modulo their number. hash/fnv would allocate.
func placeOf(key string, partitions int) int {
	hash := uint32(2166136261)
	for i := range len(key) {
		hash = (hash ^ uint32(key[i])) * 16777619
	}
	return int(hash % uint32(partitions))
}
