SELECT Key, Values, Complete, FirstDay, LastDay FROM metadata_keys ORDER BY Key
