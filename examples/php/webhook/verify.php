<?php
declare(strict_types=1);

/** Whether a message was signed with this secret, not longer than five minutes ago, and has not been changed since. */
function verify(string $secret, string $signature, string $body, int $now): bool
{
    if ($secret === '' || !preg_match('/^t=(\d+),v1=([0-9a-f]{64})$/D', $signature, $parts)) {
        return false;
    }
    [, $time, $given] = $parts;
    if (abs($now - (int) $time) > 300) {
        return false;
    }
    // In constant time, so that nobody finds the signature by trying.
    return hash_equals(hash_hmac('sha256', "$time.$body", $secret), $given);
}
