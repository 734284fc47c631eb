package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/samples/wine"
	"github.com/martinelli-go/martinelli/samples/wine/internal/label"
)

// photoResult is how uploads were answered.
type photoResult struct {
	Named   int `json:"named"`   // known labels that were named right
	Known   int `json:"known"`   // known labels that were uploaded
	Unknown int `json:"unknown"` // others that were answered as unknown
	Others  int `json:"others"`  // others that were uploaded
}

// upload is a picture and what it should be answered with.
type upload struct {
	user string
	jpeg []byte
	wine wine.WineID // "" for unknown
}

// uploads makes the pictures: every photograph as a phone would have taken it, and three that show no
// label.
func (in *input) uploads(seed uint64) ([]upload, error) {
	var all []upload
	owner := func() string { return in.users[len(all)*7919%len(in.users)] }
	source := func() *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(len(all)))) }
	known, unseen := photographs(in.catalogue, seed)
	for _, part := range []struct {
		wines []string
		named bool
	}{{known, true}, {unseen, false}} {
		for _, id := range part.wines {
			photo, err := in.catalogue.Photo(id)
			if err != nil {
				return nil, err
			}
			jpeg, err := label.Disturb(photo, source())
			if err != nil {
				return nil, fmt.Errorf("the photograph of %s: %w", id, err)
			}
			u := upload{user: owner(), jpeg: jpeg}
			if part.named {
				u.wine = wine.WineID(id)
			}
			all = append(all, u)
		}
	}
	for _, draw := range []func(*rand.Rand) []byte{label.Noise, label.Gradient, label.Text} {
		all = append(all, upload{user: owner(), jpeg: draw(source())})
	}
	return all, nil
}

// uploadAll uploads each picture to its user's grain.
func uploadAll(ctx context.Context, c grains.Caller, all []upload, s *step) (photoResult, error) {
	var named, known, unknown atomic.Int64
	err := each(ctx, all, func(ctx context.Context, u upload) error {
		defer s.add(1)
		if u.wine != "" {
			known.Add(1)
		}
		var m wine.Match
		err := repeated(ctx, func(ctx context.Context) (err error) {
			m, err = wine.GetUser(c, wine.UserID(u.user)).Upload(ctx, u.jpeg)
			return err
		})
		switch {
		case err != nil:
			return fmt.Errorf("upload of user %s: %w", u.user, err)
		case u.wine == "" && !m.Known:
			unknown.Add(1)
		case u.wine != "" && m.Known && m.Wine == u.wine:
			named.Add(1)
		}
		return nil
	})
	return photoResult{
		Named: int(named.Load()), Known: int(known.Load()),
		Unknown: int(unknown.Load()), Others: len(all) - int(known.Load()),
	}, err
}
