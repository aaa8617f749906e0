#!/bin/bash
# pool-away.sh with an etcd that is gone for minutes.
AWAY_S=150 exec "$BASH" "$(dirname "$0")/pool-away.sh"
