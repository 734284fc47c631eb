package integration

import "github.com/stretchr/testify/assert"

type assertT = assert.CollectT
