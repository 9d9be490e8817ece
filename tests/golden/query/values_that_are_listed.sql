-- p0: "region"
SELECT Value, NULL FROM metadata_values WHERE Key = {p0:String} ORDER BY LastDay DESC, Value
