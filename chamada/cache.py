"""The cache where no Redis is configured."""

from django.core.cache.backends.locmem import LocMemCache


class OneProcessCache(LocMemCache):
    """Django's local-memory cache, under a name that the rate limiter's check accepts.

    The embedded default serves from one web process, where its `add` and `incr` are atomic under the cache's lock.
    With more web processes REDIS_URL is needed, and the system checks say so.
    """
