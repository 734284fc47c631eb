package wire

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
)

// StreamMethod describes a method that returns an iter.Seq2[R, error] alone. Generated code holds one, as a
// variable, for each, beside the Methods of the interface and in the same list of Handlers:
//
//	var methodUserList = wire.StreamMethod[argsUserList, Item]{
//		Number: 3, Name: "List", Of: &interfaceUser, Traits: wire.Traits{Stream: true},
//		Args: …, Element: codecItem, Errors: errorTable,
//		Do: func(ctx context.Context, impl any, args argsUserList) iter.Seq2[Item, error] {
//			return impl.(User).List(ctx, args.A1)
//		},
//	}
//
//	func (r userRef) List(ctx context.Context, a1 string) iter.Seq2[Item, error] {
//		return wire.Stream(ctx, r.Ref, &methodUserList, argsUserList{a1})
//	}
//
// A stream is made of ordinary calls. The first runs the method until it has yielded a batch, and each of the
// others lets it go on for another, all in turns of the grain; in between the method stands still in its yield,
// and other calls run. The reader numbers its calls, and the grain's side keeps the last batch: a call whose
// reply was lost is made again, and no element comes twice or is left out. The very first is made again only
// where the method is ReadOnly or Idempotent, because it would run the method's beginning again.
type StreamMethod[A, R any] struct {
	Number uint32
	Name   string
	Traits // Stream is implied
	Of     *Interface
	Args   Codec[A]
	// Element is the codec of what the method yields. A value that comes with an error is dropped.
	Element Codec[R]
	Errors  *ErrorTable
	// Do calls the method on an implementation.
	Do func(ctx context.Context, impl any, a A) iter.Seq2[R, error]
	// BindArgs and BindElement are as in Method.
	BindArgs    func(e Engine, a A) A
	BindElement func(e Engine, r R) R
}

// String is the method's name.
func (m *StreamMethod[A, R]) String() string { return m.Name }

// Info describes the method.
func (m *StreamMethod[A, R]) Info() MethodInfo {
	t := m.Traits
	t.Stream = true
	return MethodInfo{m.Number, m.Name, t, m.Of}
}

// ResultCodec is nil: no value of an atomic block is a batch.
func (m *StreamMethod[A, R]) ResultCodec() any { return nil }

// ErrorTable is the table by which errors of the method travel.
func (m *StreamMethod[A, R]) ErrorTable() *ErrorTable { return m.Errors }

// Serve implements Handler.
func (m *StreamMethod[A, R]) Serve(ctx context.Context, impl any, args, b []byte) ([]byte, error) {
	p, err := decodePull(args)
	if err != nil {
		return nil, &BadArguments{m.Name, err}
	}
	batch, err := m.pull(ctx, impl, p, true, func() (A, error) {
		a, err := m.Args.Decode(p.args)
		if err != nil {
			return a, &BadArguments{m.Name, err}
		}
		return a, nil
	})
	if err != nil {
		return nil, err
	}
	return batch.append(b), nil
}

const (
	// firstBatch is the most elements of the first batch of a stream, most of any; each may have twice as
	// many as the one before.
	firstBatch, mostBatch = 8, 100
	// batchBytes is the size, in encoded form, beyond which a batch is not added to. One element alone may be
	// larger.
	batchBytes = 64 << 10
)

// Stream returns the sequence that a stub's method stands for. Nothing is called before somebody ranges over
// it; each range is a stream of its own. The error of a call, or of the stream, is the last element; errors that
// the method yields come in their places.
func Stream[A, R any](ctx context.Context, r Ref, m *StreamMethod[A, R], args A) iter.Seq2[R, error] {
	args = m.Args.Copy(args)
	return func(yield func(R, error) bool) {
		e := r.at()
		c := streamCall[A, R]{m: m, args: args, pull: pull{id: rand.Uint64()>>1 + 1, want: firstBatch}}
		open := true
		defer func() { // the loop may have ended by a panic
			if open {
				c.close(ctx, e, r.id)
			}
		}()
		for ; ; c.seq++ {
			call := c
			err := e.Call(ctx, r.id, &call)
			if err == nil {
				if err = call.batch.refused(r.id, m.Name); err != nil {
					open = false
				}
			}
			if err != nil {
				open = open && (c.seq > 0 || !errors.Is(err, ErrNotExecuted))
				err = c.ended(ctx, r.id, err)
				var none R
				yield(none, err)
				return
			}
			open = !call.batch.end
			for _, i := range call.batch.items {
				if i.err == nil && m.BindElement != nil {
					i.value = m.BindElement(e, i.value)
				}
				if !yield(i.value, i.err) {
					return
				}
			}
			if !open {
				return
			}
			c.want = min(2*c.want, mostBatch)
		}
	}
}

// streamCall is one of the calls that a stream is made of.
type streamCall[A, R any] struct {
	m *StreamMethod[A, R]
	pull
	args  A
	batch batch[R]
}

// ended is the error of a stream whose reader's context has ended. It is the same wherever the grain is, and
// however far the call had come: that a call of a stream was not executed, or may have been, says nothing of use
// once there are elements.
func (c *streamCall[A, R]) ended(ctx context.Context, to ID, err error) error {
	call, own := err.(*CallError)
	switch {
	case !own || call.To != to || ctx.Err() == nil && call.Ended == nil:
	case call.Cause == ErrUnknown, call.Cause == ErrNotExecuted && c.seq > 0, call.Cause == ErrStreamLost:
		return &CallError{To: to, Method: c.m.Name, Cause: ErrStreamLost, Detail: call.Detail, Ended: EndOf(ctx)}
	}
	return err
}

// close tells the grain that nobody reads any more, outside of the block that ctx may be in: nobody waits for what
// the method does then. Where that gets lost the stream ends by itself.
func (c *streamCall[A, R]) close(ctx context.Context, e Engine, to ID) {
	c.over = true
	_ = e.Call(WithBlock(context.WithoutCancel(ctx), nil), to, c)
}

func (c *streamCall[A, R]) Method() Handler { return c.m }

func (c *streamCall[A, R]) Traits() Traits {
	t := c.m.Info().Traits
	t.Idempotent = t.Idempotent || c.seq > 0 || c.over
	t.OneWay = c.over
	return t
}

func (c *streamCall[A, R]) AppendArgs(b []byte) []byte {
	b = c.pull.append(b)
	if c.first() {
		b = AppendElement(b, pullArgs, c.args, c.m.Args.Append)
	}
	return b
}

func (c *streamCall[A, R]) DecodeError(b []byte) error { return DecodeError(b, c.m.Errors) }

func (c *streamCall[A, R]) DecodeResult(b []byte) (err error) {
	c.batch, err = decodeBatch(b, c.m.Element, c.m.Errors)
	return err
}

func (c *streamCall[A, R]) Run(ctx context.Context, impl any) error {
	got, err := c.m.pull(ctx, impl, c.pull, false, func() (A, error) { return c.m.Args.Copy(c.args), nil })
	if err != nil {
		return MethodError(err, c.m.Errors)
	}
	c.batch = *got
	return nil
}

// pull is what a reader asks for, as it travels in place of the arguments.
type pull struct {
	id   uint64 // of the stream, chosen by the reader, so that nobody else can guess it
	seq  uint64 // of the batch; 0 opens the stream
	want int    // elements at most
	over bool   // nobody reads any more
	args []byte // of seq 0: the method's
}

const pullID, pullSeq, pullWant, pullOver, pullArgs = 1, 2, 3, 4, 5

func (p pull) first() bool { return p.seq == 0 && !p.over }

// append appends all but the arguments.
func (p pull) append(b []byte) []byte {
	b = AppendUint(b, pullID, p.id)
	b = AppendUint(b, pullSeq, p.seq)
	b = AppendUint(b, pullWant, uint(p.want))
	return AppendBool(b, pullOver, p.over)
}

func decodePull(b []byte) (p pull, err error) {
	err = EachField(b, func(f Field) (err error) {
		switch f.Number {
		case pullID:
			p.id, err = f.Uint()
		case pullSeq:
			p.seq, err = f.Uint()
		case pullWant:
			var n uint64
			n, err = f.Uint()
			p.want = int(min(n, mostBatch))
		case pullOver:
			p.over, err = f.Bool()
		case pullArgs:
			p.args, err = f.Bytes()
		}
		return err
	})
	p.want = max(p.want, 1)
	return p, err
}

// batch is what a stream's call brings: elements, or their encoding, or why there are none.
type batch[R any] struct {
	status  batchStatus
	detail  string
	items   []item[R]
	encoded []byte // instead of items
	end     bool   // the method has returned
}

type item[R any] struct {
	value R
	err   error
}

type batchStatus uint8

const (
	batchGood batchStatus = iota
	batchLost
	batchOverloaded
	batchCut // the context of the call ended; older readers take it for lost
)

const batchStatusField, batchElement, batchError, batchEnd, batchDetail = 1, 2, 3, 4, 5

func (b *batch[R]) append(to []byte) []byte {
	to = AppendUint(to, batchStatusField, b.status)
	to = append(to, b.encoded...)
	to = AppendBool(to, batchEnd, b.end)
	return AppendString(to, batchDetail, b.detail)
}

func decodeBatch[R any](encoded []byte, element Codec[R], t *ErrorTable) (b batch[R], err error) {
	err = EachField(encoded, func(f Field) (err error) {
		if len(b.items) == mostBatch && (f.Number == batchElement || f.Number == batchError) {
			return f.Errorf("a batch of more than %d elements", mostBatch)
		}
		switch f.Number {
		case batchStatusField:
			var n uint64
			n, err = f.Uint()
			b.status = batchStatus(min(n, 255))
		case batchElement:
			var m []byte
			if m, err = f.Bytes(); err != nil {
				return err
			}
			var v R
			if v, err = element.Decode(m); err == nil {
				b.items = append(b.items, item[R]{value: v})
			}
		case batchError:
			var m []byte
			if m, err = f.Bytes(); err == nil {
				b.items = append(b.items, item[R]{err: DecodeError(m, t)})
			}
		case batchEnd:
			b.end, err = f.Bool()
		case batchDetail:
			b.detail, err = f.String()
		}
		return err
	})
	return b, err
}

// refused is the error of a batch that is none.
func (b *batch[R]) refused(to ID, method string) error {
	switch b.status {
	case batchGood:
		return nil
	case batchOverloaded:
		return &CallError{To: to, Method: method, Cause: ErrOverloaded, Detail: b.detail}
	case batchCut:
		return &CallError{To: to, Method: method, Cause: ErrStreamLost, Detail: b.detail, Ended: context.DeadlineExceeded}
	}
	return &CallError{To: to, Method: method, Cause: ErrStreamLost, Detail: b.detail}
}

// appendItem appends an element to a batch's encoding, or an error: the method's, or one of the host's own.
func appendItem[R any](b []byte, v R, err error, own bool, element Codec[R], t *ErrorTable) []byte {
	if err != nil {
		f := ranItself
		if own {
			f = itself
		}
		return appendMessage(b, batchError, appendError(nil, err, t, f))
	}
	return AppendElement(b, batchElement, v, element.Append)
}
