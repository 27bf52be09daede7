package stager

import (
	"runtime"

	"laneway.dev/internal/objectstore"
	"laneway.dev/services/stager/core"
)

// packer compresses groups of batches. It bounds how many groups are compressed at the same time,
// and thereby the memory for compression.
type packer struct{ slots chan struct{} }

func newPacker() *packer { return &packer{slots: make(chan struct{}, runtime.GOMAXPROCS(0))} }

// packed holds the compressed batches of an object. All puts of the object share it. The zero
// value means that nothing is compressed.
type packed struct {
	blocks []packedBlock
	within []bool // whether a batch of the object is in a block; nil if none is
}

type packedBlock struct {
	*objectstore.Block
	batches []int
}

// has reports whether the batch with index i is in a block.
func (p packed) has(i int) bool { return i < len(p.within) && p.within[i] }

// pack compresses the groups of an object. It leaves out those for which that is not worth it.
func (p *packer) pack(object *core.Object) (done packed) {
	for _, g := range object.Groups() {
		block := p.packGroup(object, g)
		if block == nil {
			continue
		}
		done.blocks = append(done.blocks, packedBlock{block, g.Batches})
		if done.within == nil {
			done.within = make([]bool, len(object.Batches))
		}
		for _, i := range g.Batches {
			done.within[i] = true
		}
	}
	return done
}

func (p *packer) packGroup(object *core.Object, g core.Group) *objectstore.Block {
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	batches := make([]objectstore.Batch, len(g.Batches))
	for n, i := range g.Batches {
		batches[n] = stored(&object.Batches[i])
	}
	return objectstore.Pack(g.Codec, batches)
}

// stored returns a batch as an object contains it.
func stored(b *core.Batch) objectstore.Batch {
	return objectstore.Batch{Batch: b.Batch, Partition: b.Partition, Epoch: b.Epoch, Payload: b.Payload}
}
