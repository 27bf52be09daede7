package protocol

import "reflect"

// TopicUpdate changes a topic (update). Fields that are not set keep their values. The
// number of partitions and of replicas cannot be changed: the partition of a record, and the
// order of records, follow from the first, and the streams of the logs exist with the second.
type TopicUpdate struct {
	Name string `json:"name"`

	// As in TopicConfig. 0 and "" stand for the default.
	MaxRecordBytes   *int         `json:"max_record_bytes,omitempty"`
	ProducerExpiryMS *int64       `json:"producer_expiry_ms,omitempty"`
	MaxProducers     *int         `json:"max_producers,omitempty"`
	Compression      *Compression `json:"compression,omitempty"`
	RetentionAgeMS   *int64       `json:"retention_age_ms,omitempty"`
	RetentionBytes   *int64       `json:"retention_bytes,omitempty"`

	// Subjects replace all subjects that the topic is bound to. An empty list that is not
	// nil leaves the topic with its produce subject only.
	Subjects []string `json:"subjects,omitzero"`
}

// ApplyTo returns the configuration of a topic after the update, or an error of the
// catalogue if that is not valid.
func (u TopicUpdate) ApplyTo(c TopicConfig) (TopicConfig, error) {
	set(&c.MaxRecordBytes, u.MaxRecordBytes)
	set(&c.ProducerExpiryMS, u.ProducerExpiryMS)
	set(&c.MaxProducers, u.MaxProducers)
	set(&c.Compression, u.Compression)
	set(&c.RetentionAgeMS, u.RetentionAgeMS)
	set(&c.RetentionBytes, u.RetentionBytes)
	if u.Subjects != nil {
		c.Subjects = u.Subjects
	}
	return c.Complete()
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// FitPayload returns the update with a record size that fits into NATS' max_payload, by the
// rules of TopicConfig.FitPayload.
func (u TopicUpdate) FitPayload(maxPayload int64) (TopicUpdate, error) {
	if u.MaxRecordBytes == nil {
		return u, nil
	}
	c, err := TopicConfig{MaxRecordBytes: *u.MaxRecordBytes}.FitPayload(maxPayload)
	u.MaxRecordBytes = &c.MaxRecordBytes
	return u, err
}

// Equal reports whether two configurations are the same.
func (c TopicConfig) Equal(other TopicConfig) bool {
	return reflect.DeepEqual(c.normal(), other.normal())
}

// normal returns the configuration with one form of having no subjects.
func (c TopicConfig) normal() TopicConfig {
	if len(c.Subjects) == 0 {
		c.Subjects = nil
	}
	return c
}
