-- name: list_triggers
SELECT t.name, t.kind, t.source, s.name, t.operations, t.options
FROM triggers AS t
JOIN scripts AS s ON s.app_id = t.app_id AND s.id = t.script_id
WHERE t.app_id = %(app_id)s
ORDER BY t.name COLLATE "C"

-- name: delete_triggers
DELETE FROM triggers
WHERE app_id = %(app_id)s AND name = ANY (%(names)s::text[])

-- name: add_trigger
INSERT INTO triggers (app_id, name, kind, source, key_like, operations, script_id, options)
SELECT app_id, %(name)s, %(kind)s, %(source)s, %(key_like)s, %(operations)s::text[], id, %(options)s
FROM scripts
WHERE app_id = %(app_id)s AND name = %(script)s AND kind = 'endpoint'

-- name: free_messages
-- Messages handed to a trigger that is another now wait again; those that are being worked on stay where they are.
DELETE FROM deliveries AS d
USING events AS e
WHERE d.app_id = %(app_id)s AND e.app_id = d.app_id AND e.id = d.event_id AND e.kind = 'queue' AND d.taken_by IS NULL
    AND NOT EXISTS (
        SELECT FROM triggers AS t
        JOIN scripts AS s ON s.app_id = t.app_id AND s.id = t.script_id
        WHERE t.app_id = d.app_id AND t.kind = 'queue' AND t.source = e.name AND t.name = d.trigger
            AND s.name = d.script AND t.options = d.options
    )

-- name: hand_out_messages
SELECT picloud_fan_out(e)
FROM events AS e
WHERE e.app_id = %(app_id)s AND e.kind = 'queue'
    AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.app_id = e.app_id AND d.event_id = e.id)
    AND EXISTS (SELECT FROM triggers AS t WHERE t.app_id = e.app_id AND t.kind = 'queue' AND t.source = e.name)
ORDER BY e.number
